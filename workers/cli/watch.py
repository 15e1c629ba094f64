"""`redraft watch | wait`: jobs followed until they are finished. On a terminal `watchlive` shows them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import completion, output
from workers.cli.jobs import LARGEST, JobsArgument, asks, exit_code, without_answer

if TYPE_CHECKING:
    from tasks.client import Client
    from tasks.store.summaries import JobSummary

app = typer.Typer()

# Into a pipe, without named jobs: how many unfinished ones are followed.
MOST_WATCHED = 200
NOT_FINISHED = 5
NOTHING = "no job is unfinished; `redraft ls` lists those that are finished"

SomeJobs = Annotated[
    list[int] | None,
    typer.Argument(
        metavar="[JOB...]",
        min=1,
        max=LARGEST,
        help="Default: all unfinished jobs; into a pipe, the 200 oldest.",
        autocompletion=completion.jobs,
    ),
]


@app.command()
def watch(jobs: SomeJobs = None, as_json: output.Json = False) -> None:
    """Follow jobs live until they are finished: progress, iteration, score, tokens/s, spend. The arrow keys and PgUp,
    PgDn move through them, q leaves.

    Where stdout is not a terminal, prints a line for each change; with --json, an object.
    """
    if sys.stdout.isatty() and not as_json:
        from workers.cli.client import job_lines
        from workers.cli.watchlive import watch_live

        with job_lines(name="redraft watch") as lines:
            if not watch_live(lines, jobs or None):
                output.note(NOTHING)
        return
    from workers.cli.client import connect

    with connect() as client:
        numbers = jobs or [job.job for job in unfinished(client)]
        if not numbers:
            output.note(NOTHING)
        for job in client.changes(numbers) if numbers else ():
            if as_json:
                output.emit_line(without_answer(job))
            else:
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
        f"score {output.score_of(job)}",
        doing(job),
        f"{output.count(job.spend.local_tokens + job.spend.cloud_tokens)} tokens",
        output.usd(job.spend.usd),
        output.duration(job.age_seconds),
    ]
    return " · ".join(part for part in parts if part)
