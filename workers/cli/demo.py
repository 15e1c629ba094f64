"""`redraft demo`: the main job on the embedded default, watched to the end."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from tasks.settings import load_settings
from tasks.store.queries import job_history, list_jobs
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.store.summaries import IterationRow, JobSummary
from tasks.submit import Flags, read_jobs
from tasks.types import Acceptance, JobState
from workers.cli.output import Json, emit, note, table
from workers.cli.stack import start_options
from workers.cli.submit import rules
from workers.local import stack as local
from workers.local.home import Home
from workers.packaged import ops

app = typer.Typer(rich_markup_mode=None)

POLL_SECONDS = 0.5
FEEDBACK_CHARS = 90
NOT_SHOWN = 3  # the exit code: finished, but nothing was corrected into an accepted answer


@app.command()
def demo(
    seed: Annotated[int | None, typer.Option(help="Of all sampling; a new one each time where left out.")] = None,
    model: Annotated[str, typer.Option("--model", help="A profile's name.")] = "",
    endpoint: Annotated[str, typer.Option("--endpoint", help="An OpenAI-compatible server to use.")] = "",
    as_json: Json = False,
) -> None:
    """Start the stack and solve real problems on it, watched to the end.

    Exits 0 where a held-out check accepted an answer after at least one rejected iteration, else 3.
    """
    settings = load_settings()
    seed = secrets.randbelow(2**31) if seed is None else seed
    stack = local.start(Home(root=settings.home), start_options(settings, model, endpoint), note, attached=False)
    handed_in = read_jobs(
        [str(path) for path in sorted(ops("demo").glob("*.md"))],
        Flags(seed=seed, egress="never"),
        rules(settings),
        bytes,
    )
    with Database(stack.user_url, name="redraft demo", pool=2) as database:
        jobs = [made.job for made in submit_jobs(database, handed_in.specs, handed_in.contents)]
        note(f"{len(jobs)} problems submitted with seed {seed}")
        histories = _follow(database, jobs)
        finished = sorted(list_jobs(database, jobs=jobs), key=lambda job: job.job)
    _report(finished, histories, seed, as_json)
    if not any(corrected(job, histories[job.job]) for job in finished):
        note("no problem was accepted after a rejected attempt this time; try again with another seed")
        raise typer.Exit(NOT_SHOWN)


def corrected(job: JobSummary, history: Sequence[IterationRow]) -> bool:
    """Whether a held-out check accepted the job's answer after an iteration in which every candidate was rejected."""
    if job.state is not JobState.ACCEPTED or job.acceptance is not Acceptance.VERIFIED:
        return False
    last = history[-1]
    return last.iteration > 1 and any(verdict.held_out and verdict.passed for verdict in last.verdicts)


def _follow(database: Database, jobs: Sequence[int]) -> dict[int, tuple[IterationRow, ...]]:
    """Tells each iteration as it is recorded, until every job is finished."""
    seen: dict[int, tuple[IterationRow, ...]] = {job: () for job in jobs}
    while True:
        summaries = {job.job: job for job in list_jobs(database, jobs=jobs)}
        for number, job in sorted(summaries.items()):
            if job.iterations > len(seen[number]):
                history = job_history(database, number)
                for iteration in history[len(seen[number]) :]:
                    note(_line(job, iteration))
                seen[number] = history
        if all(job.state.final for job in summaries.values()):
            return seen
        time.sleep(POLL_SECONDS)


def _line(job: JobSummary, iteration: IterationRow) -> str:
    failed = next((verdict for verdict in iteration.verdicts if not verdict.passed), None)
    if iteration.guard:
        said = f"degenerate ({iteration.guard})"
    elif failed is None:
        said = "every check passed, the hidden one too"
    else:
        told = "a hidden check failed" if failed.held_out else " ".join(failed.feedback.split())
        said = f"{failed.check}: {told}"
    if len(said) > FEEDBACK_CHARS:
        said = said[: FEEDBACK_CHARS - 1] + "…"
    return (
        f"job {job.job} {job.title} · iteration {iteration.iteration} {iteration.operator} · "
        f"score {iteration.score or 0:.2f} · {said}"
    )


def _report(
    jobs: Sequence[JobSummary], histories: dict[int, tuple[IterationRow, ...]], seed: int, as_json: bool
) -> None:
    rows = [
        {
            "job": job.job,
            "title": job.title,
            "state": str(job.state),
            "iterations": job.iterations,
            "score": job.score,
            "local_tokens": job.spend.local_tokens,
            "corrected": corrected(job, histories[job.job]),
        }
        for job in jobs
    ]
    if as_json:
        emit({"seed": seed, "jobs": rows})
        return
    shown = [
        [
            str(row["job"]),
            str(row["title"]),
            str(row["state"]),
            str(row["iterations"]),
            f"{row['score'] or 0:.2f}",
            str(row["local_tokens"]),
            "yes" if row["corrected"] else "",
        ]
        for row in rows
    ]
    table(("job", "problem", "state", "iterations", "score", "tokens", "corrected"), shown)
    note("look closer: redraft history JOB · redraft result JOB · redraft sql; redraft down stops the stack")
