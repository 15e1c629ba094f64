"""`redraft watch | wait`: jobs followed until they are finished. What is shown is a pure function of two reads."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import output
from workers.cli.jobs import LARGEST, JobsArgument, asks, exit_code, without_answer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tasks.client import Client
    from tasks.store.summaries import JobSummary

app = typer.Typer()

# Tokens per second are an average over about this long, or the figure dances.
RATE_SECONDS = 5.0
# Without named jobs: how many unfinished ones are followed.
MOST_WATCHED = 200
NOT_FINISHED = 5

SomeJobs = Annotated[
    list[int] | None,
    typer.Argument(metavar="[JOB...]", min=1, max=LARGEST, help="Default: the 200 oldest unfinished jobs."),
]


@app.command()
def watch(jobs: SomeJobs = None, as_json: output.Json = False) -> None:
    """Follow jobs live until they are finished: progress, iteration, score, tokens/s, spend.

    Where stdout is not a terminal, prints a line for each change; with --json, an object.
    """
    from workers.cli.client import connect

    with connect() as client:
        numbers = jobs or [job.job for job in unfinished(client)]
        if not numbers:
            output.note("no job is unfinished; `redraft ls` lists those that are finished")
        elif as_json:
            for job in client.changes(numbers):
                output.emit_line(without_answer(job))
        elif sys.stdout.isatty():
            _show_live(client, numbers)
        else:
            for job in client.changes(numbers):
                output.line(change_line(job))


@app.command()
def wait(
    jobs: JobsArgument,
    timeout: Annotated[float | None, typer.Option(min=0, help="Wait at most this many seconds.")] = None,
    as_json: output.Json = False,
) -> None:
    """Wait silently until jobs are finished, or ask you something.

    Exits 0 if all were accepted, else with the worst of: 1 failed, 4 cancelled, 3 finished without an accepted
    answer; 5 if one was not finished within --timeout, or needs input: its question is on stderr.
    """
    raise typer.Exit(wait_for(jobs, timeout, as_json=as_json))


def wait_for(jobs: Sequence[int], timeout: float | None, *, as_json: bool) -> int:
    """Waits until `jobs` are finished or `timeout` seconds have passed; the exit code that says how they ended."""
    from workers.cli.client import connect

    with connect() as client:
        summaries = client.wait(jobs, timeout)
    for job in summaries:
        if as_json:
            output.emit_line(without_answer(job))
        elif job.question:
            output.note(f"job {job.job} asks: {asks(job)}")
        elif job.state != "accepted":
            output.note(f"job {job.job} is {job.state}{f': {job.reason}' if job.reason else ''}")
    return worst(summaries)


def worst(jobs: Iterable[JobSummary]) -> int:
    """The exit code of several jobs: not finished, then a fault, then no answer, then cancelled, then accepted."""
    codes = {exit_code(job) for job in jobs}
    return next((code for code in (NOT_FINISHED, 1, 3, 4) if code in codes), 0)


def unfinished(client: Client) -> tuple[JobSummary, ...]:
    """The oldest jobs that will still run."""
    from tasks.types import JobState

    states = [state for state in JobState if not state.final]
    return client.list(states=states, limit=MOST_WATCHED, oldest_first=True)


class Rates:
    """Tokens per second of each job, smoothed over the reads fed to it."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, int]] = {}
        self._rate: dict[int, float] = {}

    def feed(self, jobs: Iterable[JobSummary]) -> Mapping[int, float]:
        """The rates after one more read. `live_tokens` starts from zero at each turn."""
        for job in jobs:
            at, tokens = job.now.timestamp(), job.live_tokens if job.worker else 0
            before, earlier = self._last.get(job.job, (at, tokens))
            self._last[job.job] = (at, tokens)
            if job.state.final or not job.worker:
                self._rate[job.job] = 0.0
            elif at > before:
                gained = tokens - earlier if tokens >= earlier else tokens
                weight = min(1.0, (at - before) / RATE_SECONDS)
                old = self._rate.get(job.job, 0.0)
                self._rate[job.job] = old + weight * (gained / (at - before) - old)
        return self._rate


def doing(job: JobSummary) -> str:
    """What a job is doing, in a word or two."""
    if job.state.final:
        return job.reason
    if job.cancel_requested:
        return "cancelling"
    if job.pause_requested:
        return "pausing"
    resting = {"paused": "until it is resumed", "needs_input": f"asks: {job.question}"}
    if job.state in resting:
        return resting[job.state]
    if not job.worker:
        return "waiting for a worker"
    return " · ".join(part for part in (job.operator, job.phase) if part)


def change_line(job: JobSummary) -> str:
    """One line for a pipe or a log."""
    parts = [
        f"job {job.job}",
        f"{job.state} ({job.acceptance})" if job.acceptance else str(job.state),
        f"iteration {job.iterations if job.state.final else job.iterations + 1} of {job.budget.iterations}",
        f"score {output.score(job.score, job.value)}",
        doing(job),
        f"{output.count(job.spend.local_tokens + job.spend.cloud_tokens)} tokens",
        output.usd(job.spend.usd),
        output.duration(job.age_seconds),
    ]
    return " · ".join(part for part in parts if part)


def bar(job: JobSummary, width: int = 12) -> str:
    """How much of the budget's scarcest part is used, or that it is done."""
    if job.state == "accepted":
        return "█" * width
    filled = round(min(1.0, used(job)) * width)
    return "█" * filled + "░" * (width - filled)


def used(job: JobSummary) -> float:
    """The largest share used of iterations, tokens, hours and dollars."""
    seconds = ((job.finished_at or job.now) - job.started_at).total_seconds() if job.started_at else 0.0
    hours = (seconds - job.idle_seconds) / 3600
    tokens = job.spend.local_tokens + job.spend.cloud_tokens
    return max(
        job.iterations / job.budget.iterations,
        tokens / job.budget.tokens,
        hours / job.budget.hours,
        float(job.spend.usd / job.budget.usd),
    )


def view(jobs: Iterable[JobSummary], rates: Mapping[int, float]) -> RenderableType:
    """The live table of one moment."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tasks.printable import printable

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("job", "state", "budget used", "iter", "score", "tok/s", "spent", "age"):
        table.add_column(name, no_wrap=True, justify="left" if name in ("state", "budget used") else "right")
    table.add_column("now", ratio=1, overflow="ellipsis", no_wrap=True)
    colours = {"accepted": "green", "running": "cyan", "queued": "", "paused": "yellow", "needs_input": "magenta"}
    for job in jobs:
        iteration = job.iterations if job.state.final else job.iterations + 1
        cells: list[Any] = [
            str(job.job),
            Text(str(job.state), style=colours.get(job.state, "red")),
            f"{bar(job)} {min(1.0, used(job)):4.0%}",
            f"{iteration}/{job.budget.iterations}",
            output.score(job.score, job.value),
            f"{rates[job.job]:.0f}" if rates.get(job.job, 0.0) >= 0.5 else "-",
            output.usd(job.spend.usd),
            output.duration(job.age_seconds),
            Text(printable(f"{doing(job)} · {job.title}".strip(" ·"))),
        ]
        table.add_row(*cells)
    return table


def _show_live(client: Client, jobs: Sequence[int]) -> None:
    from rich.console import Console
    from rich.live import Live

    rates = Rates()
    with Live(console=Console(), auto_refresh=False, vertical_overflow="ellipsis") as live:
        for snapshot in client.follow(jobs):
            live.update(view(snapshot.values(), rates.feed(snapshot.values())), refresh=True)
