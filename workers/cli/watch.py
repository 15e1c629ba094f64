"""`redraft watch | wait`: jobs followed until they are finished. What is shown is a pure function of two reads."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import output
from workers.cli.jobs import LARGEST, JobsArgument, exit_code, without_answer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tasks.store.session import Database
    from tasks.store.summaries import JobSummary

app = typer.Typer()

# Often enough to look alive; one indexed query each.
POLL_SECONDS = 0.5
# Tokens per second are an average over about this long, or the figure dances.
RATE_SECONDS = 5.0
# Without named jobs: how many unfinished ones are followed.
MOST_WATCHED = 200
NOT_FINISHED = 5

SomeJobs = Annotated[
    list[int] | None, typer.Argument(metavar="[JOB...]", min=1, max=LARGEST, help="Default: all unfinished jobs.")
]


@app.command()
def watch(jobs: SomeJobs = None, as_json: output.Json = False) -> None:
    """Follow jobs live until they are finished: progress, iteration, score, tokens/s, spend.

    Where stdout is no terminal, a line for each change; with --json, an object for each.
    """
    from workers.cli.database import open_database

    with open_database() as database:
        numbers = jobs or [job.job for job in unfinished(database)]
        if not numbers:
            output.note("no job is unfinished; `redraft ls` lists those that are finished")
            return
        if as_json:
            follow(reader(database, numbers), lambda job: output.emit_line(without_answer(job)))
        elif sys.stdout.isatty():
            _follow_live(reader(database, numbers))
        else:
            follow(reader(database, numbers), lambda job: output.line(change_line(job)))


@app.command()
def wait(
    jobs: JobsArgument,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds to wait at most.")] = None,
    as_json: output.Json = False,
) -> None:
    """Wait in silence until jobs are finished.

    Exits 0 if all were accepted, else with the worst of: 1 failed, 4 cancelled, 3 finished without an accepted
    answer; 5 if one was not finished within --timeout.
    """
    raise typer.Exit(wait_for(jobs, timeout, as_json=as_json))


def wait_for(jobs: Sequence[int], timeout: float | None, *, as_json: bool) -> int:
    """Waits until `jobs` are finished or `timeout` seconds have passed; the exit code that says how they ended."""
    from workers.cli.database import open_database

    with open_database() as database:
        seen = follow(reader(database, jobs), lambda _: None, timeout)
    for job in seen.values():
        if as_json:
            output.emit_line(without_answer(job))
        elif job.state != "accepted":
            output.note(f"job {job.job} is {job.state}{f': {job.reason}' if job.reason else ''}")
    return worst(seen.values())


def worst(jobs: Iterable[JobSummary]) -> int:
    """The exit code of several jobs: not finished, then a fault, then no answer, then cancelled, then accepted."""
    codes = {exit_code(job) for job in jobs}
    return next((code for code in (NOT_FINISHED, 1, 3, 4) if code in codes), 0)


Read = Callable[[], Mapping[int, "JobSummary"]]


def unfinished(database: Database) -> tuple[JobSummary, ...]:
    """The oldest jobs that will still run."""
    from tasks.store.queries import list_jobs
    from tasks.types import JobState

    states = [state for state in JobState if not state.final]
    return list_jobs(database, states=states)[-MOST_WATCHED:]


def reader(database: Database, jobs: Sequence[int]) -> Read:
    """Reads these jobs afresh at each call, in their order. Raises `NoSuchJob` where one isn't there."""
    from tasks.errors import NoSuchJob
    from tasks.store.queries import list_jobs

    def read() -> Mapping[int, JobSummary]:
        found = {job.job: job for job in list_jobs(database, jobs=jobs)}
        for number in jobs:
            if number not in found:
                raise NoSuchJob(number)
        return {number: found[number] for number in jobs}

    return read


def follow(
    read: Read,
    report: Callable[[JobSummary], None],
    timeout: float | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Mapping[int, JobSummary]:
    """Calls `report` for each change of a job until all are finished; the last read is returned."""
    told: dict[int, object] = {}
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        seen = read()
        for job in seen.values():
            if told.get(job.job) != (mark := _mark(job)):
                told[job.job] = mark
                report(job)
        left = POLL_SECONDS if until is None else until - time.monotonic()
        if all(job.state.final for job in seen.values()) or left <= 0:
            return seen
        pause(min(POLL_SECONDS, left))


def _mark(job: JobSummary) -> object:
    """What counts as a change: tokens and age alone do not."""
    return job.state, job.iterations, job.operator, job.phase, job.score, job.worker, job.pause_requested


class Rates:
    """Tokens per second of each job, smoothed over the reads it was fed."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, int]] = {}
        self._rate: dict[int, float] = {}

    def feed(self, jobs: Iterable[JobSummary]) -> Mapping[int, float]:
        """The rates after one more read. `live_tokens` begins again at each turn."""
        for job in jobs:
            at, tokens = job.now.timestamp(), job.live_tokens if job.worker else 0
            before, had = self._last.get(job.job, (at, tokens))
            self._last[job.job] = (at, tokens)
            if job.state.final or not job.worker:
                self._rate[job.job] = 0.0
            elif at > before:
                gained = tokens - had if tokens >= had else tokens
                weight = min(1.0, (at - before) / RATE_SECONDS)
                old = self._rate.get(job.job, 0.0)
                self._rate[job.job] = old + weight * (gained / (at - before) - old)
        return self._rate


def doing(job: JobSummary) -> str:
    """What a job is at, in a word or two."""
    if job.state.final:
        return job.reason
    if job.cancel_requested:
        return "cancelling"
    if job.pause_requested:
        return "pausing"
    if job.state == "paused":
        return "until it is resumed"
    if not job.worker:
        return "waiting for a worker"
    return " · ".join(part for part in (job.operator, job.phase) if part)


def change_line(job: JobSummary) -> str:
    """One line for a pipe or a log."""
    parts = [
        f"job {job.job}",
        f"{job.state} ({job.acceptance})" if job.acceptance else str(job.state),
        f"iteration {job.iterations if job.state.final else job.iterations + 1} of {job.budget.iterations}",
        f"score {output.score(job.score)}",
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

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("job", "state", "budget used", "iter", "score", "tok/s", "spent", "age"):
        shown.add_column(name, no_wrap=True, justify="left" if name in ("state", "budget used") else "right")
    shown.add_column("now", ratio=1, overflow="ellipsis", no_wrap=True)
    colours = {"accepted": "green", "running": "cyan", "queued": "", "paused": "yellow"}
    for job in jobs:
        iteration = job.iterations if job.state.final else job.iterations + 1
        cells: list[Any] = [
            str(job.job),
            Text(str(job.state), style=colours.get(job.state, "red")),
            f"{bar(job)} {min(1.0, used(job)):4.0%}",
            f"{iteration}/{job.budget.iterations}",
            output.score(job.score),
            f"{rates[job.job]:.0f}" if rates.get(job.job, 0.0) >= 0.5 else "-",
            output.usd(job.spend.usd),
            output.duration(job.age_seconds),
            Text(printable(f"{doing(job)} · {job.title}".strip(" ·"))),
        ]
        shown.add_row(*cells)
    return shown


def _follow_live(read: Read) -> None:
    from rich.console import Console
    from rich.live import Live

    rates = Rates()
    with Live(console=Console(), auto_refresh=False, vertical_overflow="ellipsis") as live:

        def draw() -> Mapping[int, JobSummary]:
            seen = read()
            live.update(view(seen.values(), rates.feed(seen.values())), refresh=True)
            return seen

        follow(draw, lambda _: None)
