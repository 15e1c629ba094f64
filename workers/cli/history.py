"""`redraft history`: a job's iterations and what the checks said of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import output
from workers.cli.jobs import JobArgument

if TYPE_CHECKING:
    from tasks.store.summaries import IterationRow

app = typer.Typer()


@app.command()
def history(
    job: JobArgument,
    full: Annotated[bool, typer.Option("--full", help="Show candidates and feedback whole.")] = False,
    as_json: output.Json = False,
) -> None:
    """Show a job's iterations: what was tried, what the checks said, what was decided. --json: one object a line."""
    from tasks.store.queries import job_history
    from workers.cli.database import open_database

    with open_database() as database:
        found = job_history(database, job)
    if as_json:
        for row in found:
            output.emit_line(document(row))
        return
    if not found:
        output.note(f"job {job} has recorded no iteration yet")
        return
    columns = ("iter", "operator", "score", "checks", "tokens", "seconds", "decision")
    output.table(columns, [_line(row) for row in found], right=("iter", "score", "tokens", "seconds"))
    if full:
        for row in found:
            _print_whole(row)


def document(row: IterationRow) -> dict[str, Any]:
    """An iteration as `history --json` writes it."""
    return {
        "iteration": row.iteration,
        "operator": row.operator,
        "model": row.model,
        "candidate": row.candidate,
        "score": row.score,
        "guard": row.guard,
        "verdicts": [
            {
                "check": verdict.check,
                "passed": verdict.passed,
                "held_out": verdict.held_out,
                "score": verdict.score,
                "feedback": verdict.feedback,
            }
            for verdict in row.verdicts
        ],
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": row.cached_tokens,
        "completion_tokens": row.completion_tokens,
        "usd": row.usd,
        "seconds": row.seconds,
        "worker": row.worker,
        "epoch": row.epoch,
        "decision": row.decision,
    }


def _line(row: IterationRow) -> tuple[str, ...]:
    said = ", ".join(f"{'+' if v.passed else '-'}{v.check}{' (held out)' if v.held_out else ''}" for v in row.verdicts)
    return (
        str(row.iteration),
        row.operator,
        output.score(row.score),
        f"degenerate ({row.guard})" if row.guard else said or "-",
        output.count(row.prompt_tokens + row.completion_tokens),
        "-" if row.seconds is None else f"{row.seconds:.1f}",
        row.decision,
    )


def _print_whole(row: IterationRow) -> None:
    print(f"\n── iteration {row.iteration} · {row.operator} · score {output.score(row.score)} " + "─" * 20)
    output.text(row.candidate or "(no candidate)")
    for verdict in row.verdicts:
        print(f"\n{'passed' if verdict.passed else 'failed'}: {verdict.check}")
        if verdict.feedback:
            output.text(verdict.feedback)
