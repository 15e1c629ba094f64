"""`redraft ls | show | result | cancel`: jobs as they stand."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import output

if TYPE_CHECKING:
    from tasks.store.summaries import JobSummary, LostWork

app = typer.Typer()
# Postgres's bigint.
LARGEST = 2**63 - 1
JobArgument = Annotated[int, typer.Argument(metavar="JOB", min=1, max=LARGEST, help="The job's number.")]
JobsArgument = Annotated[list[int], typer.Argument(metavar="JOB...", min=1, max=LARGEST, help="The jobs' numbers.")]


@app.command()
def ls(
    state: Annotated[list[str], typer.Option("--state", metavar="S", help="Only jobs in this state.")] = [],  # noqa: B006
    tag: Annotated[list[str], typer.Option("--tag", metavar="T", help="Only jobs with this tag.")] = [],  # noqa: B006
    owner: Annotated[str | None, typer.Option(metavar="O", help="Only jobs of this owner.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many on a terminal; --json lists all.")] = 50,
    as_json: output.Json = False,
) -> None:
    """List jobs, the newest first. --json: one object a line."""
    from tasks.store.queries import list_jobs
    from workers.cli.database import open_database

    states = [known_state(name) for name in state]
    with open_database() as database:
        found = list_jobs(database, states=states, tags=tag, owner=owner, limit=None if as_json else limit + 1)
    if as_json:
        for job in found:
            output.emit_line(without_answer(job))
        return
    columns = ("job", "state", "iter", "score", "spent", "tokens", "age", "title")
    shown = found[:limit]
    output.table(columns, [_line(job) for job in shown], right=("job", "iter", "score", "spent", "tokens", "age"))
    if len(found) > limit:
        output.note(f"the newest {limit}; --limit shows more")


@app.command()
def show(job: JobArgument, as_json: output.Json = False) -> None:
    """Show one job: its state, its best answer so far, what it has spent."""
    from tasks.store.queries import job_summary
    from tasks.types import Lane
    from workers.cli.database import open_database

    with open_database() as database:
        found = job_summary(database, job)
    if as_json:
        output.emit(document(found))
        return
    spend, budget = found.spend, found.budget
    rows = [
        ("job", str(found.job)),
        ("title", found.title),
        ("state", f"{found.state} ({found.acceptance})" if found.acceptance else str(found.state)),
        ("reason", found.reason or "-"),
        *([("shared", _shared(found))] if found.shared_checks else []),
        ("strategy", found.strategy),
        ("lane", f"{found.lane}, moved up to {Lane.GPU}" if found.moved_up else str(found.lane)),
        ("iterations", f"{found.iterations} of {budget.iterations}"),
        ("score", output.score(found.score)),
        ("answer", f"of iteration {found.answer_iteration}" if found.answer is not None else "none yet"),
        ("spend", f"{output.usd(spend.usd)} of {output.usd(budget.usd)}"),
        ("tokens", f"{output.count(spend.local_tokens + spend.cloud_tokens)} of {output.count(budget.tokens)}"),
        ("owner", found.owner),
        ("tags", ", ".join(found.tags) or "-"),
        ("worker", f"{found.worker}, {found.phase or 'working'}" if found.worker else "-"),
        ("crashes", _crashes(found.lost_work)),
        ("submitted", found.submitted_at.isoformat(timespec="seconds")),
        ("age", output.duration(found.age_seconds)),
    ]
    output.pairs(rows)


@app.command()
def result(job: JobArgument, as_json: output.Json = False) -> None:
    """Print a job's answer alone on stdout; the best so far, with a note on stderr, while it runs.

    Exits 0 if it was accepted, 3 if it finished without, 4 if it was cancelled, 5 while it isn't finished.
    """
    from tasks.store.queries import job_summary
    from workers.cli.database import open_database

    with open_database() as database:
        found = job_summary(database, job)
    if as_json:
        output.emit(document(found))
    elif found.answer is not None:
        output.text(found.answer)
    if not as_json and found.state != "accepted":
        best = f"the best so far (iteration {found.answer_iteration}, score {output.score(found.score)})"
        output.note(f"job {found.job} is {found.state}: {'no answer yet' if found.answer is None else best}")
    raise typer.Exit(exit_code(found))


@app.command()
def cancel(
    jobs: JobsArgument,
    as_json: output.Json = False,
) -> None:
    """Cancel jobs: a waiting one ends at once, a running one within seconds. Its best answer stays readable."""
    from tasks.store.lifecycle import request_cancel
    from workers.cli.database import open_database

    with open_database() as database:
        states = {job: request_cancel(database, job) for job in dict.fromkeys(jobs)}
    if as_json:
        for job, state in states.items():
            output.emit_line({"job": job, "state": str(state)})
        return
    for job, state in states.items():
        if state == "cancelled":
            print(f"job {job} is cancelled")
        elif state.final:
            output.note(f"job {job} had finished before: {state}")
        else:
            print(f"job {job} is {state}; its worker was told to stop")


def known_state(name: str) -> Any:
    """The state of that name. Raises `InvalidInput`."""
    from tasks.errors import InvalidInput
    from tasks.types import JobState

    try:
        return JobState(name)
    except ValueError:
        raise InvalidInput("--state", name, f"one of {', '.join(JobState)}") from None


def exit_code(job: JobSummary) -> int:
    """0 accepted, 1 failed by a fault, 3 finished without an accepted answer, 4 cancelled, 5 not finished."""
    codes = {"accepted": 0, "failed": 1, "unsolved": 3, "quarantined": 3, "cancelled": 4}
    return codes.get(job.state, 5)


def document(job: JobSummary) -> dict[str, Any]:
    """A job as `show --json` writes it; the first fields are promised, the rest is more."""
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
        "lane": str(job.lane),
        "moved_up": job.moved_up,
        "egress": str(job.egress),
        "shared_checks": job.shared_checks,
        "priority": job.priority,
        "key": job.key,
        "budget": {
            "usd": job.budget.usd,
            "hours": job.budget.hours,
            "iterations": job.budget.iterations,
            "tokens": job.budget.tokens,
        },
        "worker": job.worker,
        "phase": job.phase,
        "cancel_requested": job.cancel_requested,
        "pause_requested": job.pause_requested,
        "lost_work": dataclasses.asdict(job.lost_work),
        "crash_bill": dataclasses.asdict(job.lost_work),  # its name until 0.1, kept for one release
    }


def without_answer(job: JobSummary) -> dict[str, Any]:
    """As `document`, for lists and streams."""
    return {name: value for name, value in document(job).items() if name != "answer"}


def _shared(job: JobSummary) -> str:
    return f"{', '.join(job.shared_checks)}: the candidate ran in the process that judged it (isolation: shared)"


def _crashes(bill: LostWork) -> str:
    """What was lost and is made again, as far as it is known and at most."""
    if not bill.crashes:
        return "none"
    tokens = f"{output.count(bill.tokens)} to {output.count(bill.tokens_at_most)} tokens"
    seconds = f"{bill.seconds:.1f} to {bill.seconds_at_most:.1f} s"
    return f"{bill.crashes}; calls in flight lost: {bill.calls} ({tokens}, {seconds}); the last: {bill.why}"


def _line(job: JobSummary) -> tuple[str, ...]:
    return (
        str(job.job),
        str(job.state),
        str(job.iterations),
        output.score(job.score),
        output.usd(job.spend.usd),
        output.count(job.spend.local_tokens + job.spend.cloud_tokens),
        output.duration(job.age_seconds),
        job.title,
    )
