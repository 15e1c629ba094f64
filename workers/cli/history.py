"""`redraft history | diff`: a job's iterations, what the checks said of each, and what changed between two."""

from __future__ import annotations

from collections.abc import Mapping
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


@app.command()
def diff(
    job: JobArgument,
    old: Annotated[int, typer.Argument(metavar="N", min=1, help="The iteration to compare with.")],
    new: Annotated[int, typer.Argument(metavar="M", min=1, help="The iteration that is compared.")],
    as_json: output.Json = False,
) -> None:
    """Show how the best candidate of iteration M differs from that of N, as a unified diff. Nothing: they are equal."""
    from tasks.store.queries import job_history
    from workers.cli.database import open_database

    with open_database() as database:
        found = {row.iteration: row for row in job_history(database, job)}
    changed = unified(_recorded(found, "N", old), _recorded(found, "M", new))
    if as_json:
        output.emit({"job": job, "from": old, "to": new, "equal": not changed, "diff": changed})
    elif changed:
        output.text(changed)
    else:
        output.note(f"the best candidates of iterations {old} and {new} are equal")


def _recorded(found: Mapping[int, IterationRow], name: str, number: int) -> IterationRow:
    from tasks.errors import InvalidInput

    if number not in found:
        known = f"a recorded iteration, from 1 to {max(found)}" if found else "the job has recorded no iteration yet"
        raise InvalidInput(name, number, known)
    return found[number]


def unified(old: IterationRow, new: IterationRow) -> str:
    """A unified diff of two iterations' best candidates; empty where they are equal."""
    import difflib

    return "\n".join(
        difflib.unified_diff(
            (old.candidate or "").splitlines(),
            (new.candidate or "").splitlines(),
            fromfile=f"iteration {old.iteration} ({old.operator}, score {output.score(old.score)})",
            tofile=f"iteration {new.iteration} ({new.operator}, score {output.score(new.score)})",
            lineterm="",
        )
    )


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
                "isolation": verdict.isolation,
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
        "stop_code": None if row.stop_code is None else str(row.stop_code),
    }


def _line(row: IterationRow) -> tuple[str, ...]:
    said = ", ".join(f"{'+' if v.passed else '-'}{v.check}{v.notes}" for v in row.verdicts)
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
    print()
    output.line(f"── iteration {row.iteration} · {row.operator} · score {output.score(row.score)} " + "─" * 20)
    output.text(row.candidate or "(no candidate)")
    for verdict in row.verdicts:
        print()
        output.line(f"{'passed' if verdict.passed else 'failed'}: {verdict.check}")
        if verdict.feedback:
            output.text(verdict.feedback)
