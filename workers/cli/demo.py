"""`redraft demo`: the demo problems on the embedded stack, watched to the end."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from tasks.client import Client
from tasks.installed import installed_rules
from tasks.jobflags import Flags
from tasks.settings import load_settings
from tasks.store.summaries import IterationRow, JobSummary
from tasks.submit import read_jobs
from tasks.types import Acceptance, JobState
from workers.cli.client import connect
from workers.cli.output import Json, emit, note, table
from workers.cli.stack import EngineFlag, start_options
from workers.home import Home
from workers.local import stack as local
from workers.packaged import ops

app = typer.Typer(rich_markup_mode=None)

History = tuple[IterationRow, ...]
FEEDBACK_CHARS = 90
NOTHING_CORRECTED = 3  # the exit code: finished, but no rejected answer was corrected into an accepted one


@app.command()
def demo(
    seed: Annotated[int | None, typer.Option(help="The seed of all sampling. Default: a new one each time.")] = None,
    model: Annotated[str, typer.Option("--model", help="A model or a profile.")] = "",
    engine: EngineFlag = None,
    endpoint: Annotated[str, typer.Option("--endpoint", help="An OpenAI-compatible server to use.")] = "",
    as_json: Json = False,
) -> None:
    """Start the stack and solve real problems on it, watched to the end.

    Exits 0 if a held-out check accepted an answer after at least one rejected iteration, else 3.
    """
    settings = load_settings()
    seed = secrets.randbelow(2**31) if seed is None else seed
    stack = local.start(
        Home(root=settings.home), start_options(settings, model, endpoint, engine), note, attached=False
    )
    files = [str(path) for path in sorted(ops("demo").glob("*.md"))]
    submission = read_jobs(files, Flags(seed=seed, egress="never"), installed_rules(settings), bytes)
    with connect(stack.user_url, name="redraft demo") as client:
        jobs = [job.job for job in client.submit(submission)]
        note(f"{len(jobs)} problems submitted with seed {seed}")
        histories = _follow(client, jobs)
        finished = client.wait(jobs)
    _report(finished, histories, seed, as_json)
    if not any(corrected(job, histories[job.job]) for job in finished):
        note("no problem was accepted after a rejected attempt this time; try again with another seed")
        raise typer.Exit(NOTHING_CORRECTED)


def corrected(job: JobSummary, history: Sequence[IterationRow]) -> bool:
    """Whether a held-out check accepted the job's answer after an iteration in which every candidate was rejected."""
    if job.state is not JobState.ACCEPTED or job.acceptance is not Acceptance.VERIFIED:
        return False
    last = history[-1]
    return last.iteration > 1 and any(verdict.held_out and verdict.passed for verdict in last.verdicts)


def _follow(client: Client, jobs: Sequence[int]) -> Mapping[int, History]:
    """Prints each iteration when it is recorded, until every job is finished."""
    histories: dict[int, History] = dict.fromkeys(jobs, ())
    for job in client.changes(jobs):
        printed = len(histories[job.job])
        if job.iterations > printed:
            histories[job.job] = client.history(job)
            for iteration in histories[job.job][printed:]:
                note(_line(job, iteration))
    return histories


def _line(job: JobSummary, iteration: IterationRow) -> str:
    failed = next((verdict for verdict in iteration.verdicts if not verdict.passed), None)
    if iteration.guard:
        outcome = f"degenerate ({iteration.guard})"
    elif failed is None:
        outcome = "every check passed, the hidden one too"
    else:
        feedback = "a hidden check failed" if failed.held_out else " ".join(failed.feedback.split())
        outcome = f"{failed.check}: {feedback}"
    if len(outcome) > FEEDBACK_CHARS:
        outcome = outcome[: FEEDBACK_CHARS - 1] + "…"
    return (
        f"job {job.job} {job.title} · iteration {iteration.iteration} {iteration.operator} · "
        f"score {iteration.score or 0:.2f} · {outcome}"
    )


def _report(jobs: Sequence[JobSummary], histories: Mapping[int, History], seed: int, as_json: bool) -> None:
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
