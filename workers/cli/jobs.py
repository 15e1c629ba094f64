"""`redraft ls | show | result`: the current state of jobs."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import completion, output, waiting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tasks.kinds import JobState
    from tasks.store.joblines import JobLine
    from tasks.store.summaries import BatchSummary, JobSummary, LostWork
    from tasks.types import Job

app = typer.Typer()
# Postgres's bigint.
LARGEST = 2**63 - 1
JobArgument = Annotated[
    int,
    typer.Argument(metavar="JOB", min=1, max=LARGEST, help="The job's number.", autocompletion=completion.jobs),
]
JobsArgument = Annotated[
    list[int],
    typer.Argument(metavar="JOB...", min=1, max=LARGEST, help="The jobs' numbers.", autocompletion=completion.jobs),
]
# What a terminal shows of jobs; a pipe gets all of them.
MOST_SHOWN = 50


@app.command()
def ls(
    state: Annotated[
        list[str],
        typer.Option("--state", metavar="S", help="Only jobs in this state.", autocompletion=completion.states),
    ] = [],  # noqa: B006
    tag: Annotated[
        list[str],
        typer.Option("--tag", metavar="T", help="Only jobs with this tag.", autocompletion=completion.tags),
    ] = [],  # noqa: B006
    owner: Annotated[str | None, typer.Option(metavar="O", help="Only jobs of this owner.")] = None,
    batch: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, max=LARGEST, help="Only jobs of this batch, with what it has used."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Show at most this many. Default: 50 on a terminal; a pipe gets all."),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """List jobs, newest first. --json: one object per line."""
    from workers.cli.client import job_lines

    states = [known_state(name) for name in state]
    if as_json:
        _list_whole(states, tag, owner, batch)
        return
    limit = limit or (MOST_SHOWN if sys.stdout.isatty() else None)
    with job_lines() as lines:
        jobs = lines.newest(states=states, tags=tag, owner=owner, batch=batch, limit=limit and limit + 1)
        workers = lines.workers() if any(not job.state.final for job in jobs) else ()
    columns = ("job", "state", "iter", "score", "spent", "tokens", "age", "title")
    right = ("job", "iter", "score", "spent", "tokens", "age")
    output.table(columns, [_line(job) for job in jobs[:limit]], right=right)
    if limit and len(jobs) > limit:
        output.note(f"the newest {limit}; --limit shows more")
    if batch is not None:
        _note_batch(batch)
    for job in jobs[:limit]:
        if job.question:
            output.note(f"job {job.job} asks: {asks(job)}")
    for line in waiting.notes(jobs[:limit], workers):
        output.note(line)


def _list_whole(states: Sequence[JobState], tags: Sequence[str], owner: str | None, batch: int | None) -> None:
    """Every job as a line of JSON, without its answer."""
    from workers.cli.client import connect

    with connect() as client:
        for job in client.pages(states=states, tags=tags, owner=owner, batch=batch):
            output.emit_line(without_answer(job))


def _note_batch(number: int) -> None:
    from workers.cli.client import connect

    with connect() as client:
        whole = client.batch(number)
    if whole is not None:
        output.note(f"batch {_batch(whole)}")


@app.command()
def show(job: JobArgument, as_json: output.Json = False) -> None:
    """Show one job: its state, its best answer so far, what it has spent."""
    from workers.cli import edits as changes
    from workers.cli import escalated
    from workers.cli import hints as advice
    from workers.cli.client import connect, job_lines

    with connect() as client:
        summary = client.summary(job)
        batch = client.batch(summary.batch) if summary.batch is not None else None
        escalations = client.escalations(job)[::-1]
        hints, edits = client.hints(job), client.edits(job)
    held = ""
    if not summary.state.final:
        with job_lines() as lines:
            held = "".join(waiting.why(line, lines.workers()) for line in lines.followed([job]))
    if as_json:
        more = {
            "batch_spend": None if batch is None else dataclasses.asdict(batch),
            "held_up": held or None,
            "escalations": [escalated.document(row) for row in escalations],
            "hints": [advice.document(hint) for hint in hints],
            "edits": [changes.document(edit) for edit in edits],
        }
        output.emit({**document(summary), **more})
    else:
        told = [("escalation", f"iteration {row.iteration}, {row.kind}: {escalated.line(row)}") for row in escalations]
        told += [("hint", line) for line in advice.listed(hints)]
        told += [("edited", line) for line in changes.listed(edits)]
        output.pairs([*_details(summary, batch, held), *told])


@app.command()
def result(
    job: JobArgument,
    target: Annotated[
        Path | None, typer.Option("-o", metavar="FOLDER", help="Write the files of a job with files there.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Print only a job's answer to stdout; while the job runs, the best so far, with a note on stderr.

    Exits 0 if it was accepted, 3 if the job finished without an accepted answer, 4 if it was cancelled, 5 if it is not
    finished.
    """
    from workers.cli.client import connect

    with connect() as client:
        summary = client.summary(job)
        whole = client.load(job) if target is not None else None
    if whole is not None and target is not None:
        _write_files(whole, target)
    if as_json:
        output.emit(document(summary))
    elif summary.answer is not None and whole is None:
        output.text(summary.answer)
    if not as_json and summary.state != "accepted":
        score = output.score_of(summary)
        best = f"the best so far (iteration {summary.answer_iteration}, score {score})"
        output.note(f"job {summary.job} is {summary.state}: {'no answer yet' if summary.answer is None else best}")
    raise typer.Exit(exit_code(summary))


def _write_files(job: Job, target: Path) -> None:
    """Writes the files of a job's answer, and says which it changed. Raises `InvalidInput`."""
    from tasks.edits import EditError
    from tasks.errors import InvalidInput
    from workers.cli import folder

    if not job.spec.files:
        raise InvalidInput("-o", target, f"given for a job with `files`; job {job.id} has none, and its answer is text")
    if job.incumbent is None:
        return
    try:
        names = folder.write(job, job.incumbent, target)
    except EditError as error:
        output.note(f"nothing is written: {error}")
        return
    for name in names:
        deleted = name in job.spec.files.writable and not (target / name).exists()
        output.line(f"{target / name}{' (deleted)' if deleted else ''}")


def known_state(name: str) -> JobState:
    """The state of that name. Raises `InvalidInput`."""
    from tasks.errors import InvalidInput
    from tasks.kinds import JobState

    try:
        return JobState(name)
    except ValueError:
        raise InvalidInput("--state", name, f"one of {', '.join(JobState)}") from None


def exit_code(job: JobSummary) -> int:
    """0 accepted, 1 failed by a fault, 3 finished without an accepted answer, 4 cancelled, 5 not finished, as one that
    needs input is."""
    codes = {"accepted": 0, "failed": 1, "unsolved": 3, "quarantined": 3, "cancelled": 4}
    return codes.get(job.state, 5)


def document(job: JobSummary) -> dict[str, Any]:
    """A job as `show --json` writes it; the first fields are promised, the rest is more."""
    from workers.cli import judgement

    return {
        "job": job.job,
        "title": job.title,
        "state": str(job.state),
        "reason": job.reason,
        "acceptance": None if job.acceptance is None else str(job.acceptance),
        "strategy": job.strategy,
        "iterations": job.iterations,
        "score": job.score,
        "answer": job.answer,
        "answer_iteration": job.answer_iteration,
        "owner": job.owner,
        "tags": job.tags,
        "spend": {
            "usd": job.spend.usd,
            "local_tokens": job.spend.local_tokens,
            "cloud_tokens": job.spend.cloud_tokens,
        },
        "submitted_at": job.submitted_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "judged_by": judgement.document(job),
        "value": job.value,
        "question": job.question,
        "answer_until": job.answer_until,
        "stop_code": None if job.stop_code is None else str(job.stop_code),
        "stop_used": job.stop_used,
        "stop_limit": job.stop_limit,
        "stop_needed": job.stop_needed,
        "stop_ended_by": None if job.stop_ended_by is None else str(job.stop_ended_by),
        "lane": str(job.lane),
        "moved_up": job.moved_up,
        "batch": job.batch,
        "model": job.model or None,
        "model_awaited": job.model_awaited,
        "egress": str(job.egress),
        "shared_checks": job.shared_checks,
        "priority": job.priority,
        "key": job.key,
        "budget": {
            "usd": job.budget.usd,
            "hours": job.budget.hours,
            "iterations": job.budget.iterations,
            "tokens": job.budget.tokens,
            "completion_tokens": job.budget.completion_tokens,
            "local_tokens": job.budget.local_tokens,
            "cloud_tokens": job.budget.cloud_tokens,
            "gpu_seconds": job.budget.gpu_seconds,
            "evaluations": job.budget.evaluations,
        },
        "waits_for": job.waits_for or None,
        "worker": job.worker,
        "phase": job.phase,
        "cancel_requested": job.cancel_requested,
        "pause_requested": job.pause_requested,
        "cut": job.cut,
        "left_out": [dataclasses.asdict(block) for block in job.left_out],
        "context_above": job.context_above,
        "lost_work": dataclasses.asdict(job.lost_work),
        "crash_bill": dataclasses.asdict(job.lost_work),  # its name until 0.1, kept for one release
    }


def without_answer(job: JobSummary) -> dict[str, Any]:
    """As `document`, for lists and streams."""
    return {name: value for name, value in document(job).items() if name != "answer"}


def _details(job: JobSummary, batch: BatchSummary | None = None, held: str = "") -> list[tuple[str, str]]:
    from tasks.kinds import Lane
    from workers.cli import judgement, omissions

    spend, budget = job.spend, job.budget
    return [
        ("job", str(job.job)),
        ("title", job.title),
        ("state", f"{job.state} ({job.acceptance})" if job.acceptance else str(job.state)),
        ("reason", job.reason or "-"),
        *([("asks", asks(job))] if job.question else []),
        *([("judged by", judgement.line(job))] if job.judged_by else []),
        *([("held up", held)] if held else []),
        *([("shared", _shared(job))] if job.shared_checks else []),
        ("strategy", job.strategy),
        ("lane", f"{job.lane}, moved up to {Lane.GPU}" if job.moved_up else str(job.lane)),
        *([("model", _model(job))] if job.model else []),
        ("iterations", f"{job.iterations} of {budget.iterations}"),
        ("score", output.score_of(job)),
        ("answer", f"of iteration {job.answer_iteration}" if job.answer is not None else "none yet"),
        ("spend", f"{output.usd(spend.usd)} of {output.usd(budget.usd)}"),
        ("tokens", f"{output.count(spend.local_tokens + spend.cloud_tokens)} of {output.count(budget.tokens)}"),
        *([("batch", _batch(batch))] if batch is not None else []),
        ("owner", job.owner),
        ("tags", ", ".join(job.tags) or "-"),
        ("worker", f"{job.worker}, {job.phase or 'working'}" if job.worker else "-"),
        ("crashes", _crashes(job.lost_work)),
        *(("left out", omissions.of_job(block)) for block in job.left_out),
        ("submitted", job.submitted_at.isoformat(timespec="seconds")),
        ("age", output.duration(job.age_seconds)),
    ]


def asks(job: JobSummary | JobLine) -> str:
    """What a job that needs input asks, until when it waits, and how it is answered."""
    until = job.answer_until.isoformat(timespec="seconds") if job.answer_until else "-"
    return f"{job.question} (waits until {until}; `redraft answer {job.job} TEXT`)"


def _batch(batch: BatchSummary) -> str:
    """Its number, how far it is, and what its jobs have used together."""
    budget, used = batch.budget, []
    if budget.tokens is not None:
        used.append(f"{output.count(batch.tokens)} of {output.count(budget.tokens)} tokens")
    if budget.usd is not None:
        used.append(f"{output.usd(batch.usd)} of {output.usd(budget.usd)}")
    if budget.hours is not None:
        used.append(f"{output.duration(batch.hours * 3600)} of {output.duration(budget.hours * 3600)}")
    return f"{batch.batch}: {batch.accepted} of {batch.jobs} jobs accepted, {batch.ended} ended; used {', '.join(used)}"


def _model(job: JobSummary) -> str:
    return f"{job.model}: no worker serves it now, and the job waits for one" if job.model_awaited else job.model


def _shared(job: JobSummary) -> str:
    return f"{', '.join(job.shared_checks)}: the candidate ran in the process that judged it (isolation: shared)"


def _crashes(lost: LostWork) -> str:
    """How much work was lost and is repeated: what is known, and at most."""
    if not lost.crashes:
        return "none"
    tokens = f"{output.count(lost.tokens)} to {output.count(lost.tokens_at_most)} tokens"
    seconds = f"{lost.seconds:.1f} to {lost.seconds_at_most:.1f} s"
    return f"{lost.crashes}; calls in flight lost: {lost.calls} ({tokens}, {seconds}); the last: {lost.why}"


def _line(job: JobLine) -> tuple[str, ...]:
    return (
        str(job.job),
        str(job.state),
        str(job.iterations),
        output.score_of(job),
        output.usd(job.usd),
        output.count(job.tokens),
        output.duration(job.age_seconds),
        job.title,
    )
