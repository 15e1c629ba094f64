"""`redraft history | diff`: a job's iterations with their verdicts, and what changed between two of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import edits as changes
from workers.cli import hints as advice
from workers.cli import omissions, output
from workers.cli.jobs import JobArgument

if TYPE_CHECKING:
    from tasks.store.summaries import IterationRow, SetAsideCall, VerdictRow
    from tasks.types import Job

app = typer.Typer()


@app.command()
def history(
    job: JobArgument,
    full: Annotated[bool, typer.Option("--full", help="Show candidates and feedback in full.")] = False,
    as_json: output.Json = False,
) -> None:
    """Show a job's iterations: what was tried, the verdicts, the decision. --json: one object per line."""
    from workers.cli.client import connect

    with connect() as client:
        rows, edits = client.history(job), client.edits(job)
    if as_json:
        for row in rows:
            output.emit_line(document(row))
        return
    if not rows:
        output.note(f"job {job} has recorded no iteration yet")
        return
    columns = ("iter", "operator", "score", "checks", "tokens", "seconds", "decision")
    output.table(columns, [_line(row) for row in rows], right=("iter", "score", "tokens", "seconds"))
    for row in rows:
        for line in omissions.by_call(row.omissions) if full else omissions.by_operator(row.omissions):
            output.note(f"left out in iteration {row.iteration}: {line}")
        for line in advice.listed(row.hints):
            output.note(f"hint of {line}")
        for line in set_aside(row):
            output.note(f"set aside in iteration {row.iteration}: {line}")
    for line in changes.listed(edits):
        output.note(f"edited {line}")
    if repeated := sum(row.repeated_tokens for row in rows):
        written = sum(row.completion_tokens for row in rows)
        output.note(f"{output.count(repeated)} of {output.count(written)} tokens out wrote a rejected answer again")
    if full:
        for row in rows:
            _print_whole(row)


@app.command()
def diff(
    job: JobArgument,
    old: Annotated[int, typer.Argument(metavar="N", min=1, help="The iteration to compare with.")],
    new: Annotated[int, typer.Argument(metavar="M", min=1, help="The iteration to compare.")],
    as_json: output.Json = False,
) -> None:
    """Show how the best candidate of iteration M differs from that of iteration N, as a unified diff; of a job
    with files, by file."""
    from workers.cli.client import connect

    with connect() as client:
        rows = {row.iteration: row for row in client.history(job)}
        before, after = _recorded(rows, "N", old), _recorded(rows, "M", new)
        changed = _by_file(client.load(job), before, after) or unified(before, after)
    if as_json:
        output.emit({"job": job, "from": old, "to": new, "equal": not changed, "diff": changed})
    elif changed:
        output.text(changed)
    else:
        output.note(f"the best candidates of iterations {old} and {new} are equal")


def _recorded(rows: Mapping[int, IterationRow], name: str, number: int) -> IterationRow:
    from tasks.errors import InvalidInput

    if number not in rows:
        known = f"a recorded iteration, from 1 to {max(rows)}" if rows else "the job has recorded no iteration yet"
        raise InvalidInput(name, number, known)
    return rows[number]


def _by_file(job: Job, old: IterationRow, new: IterationRow) -> str:
    """The diff of a job's files; empty where it has none, or they are equal."""
    from workers.cli import folder

    if not job.spec.files:
        return ""
    before, after = (folder.files_at(job, row.iteration, row.candidate) for row in (old, new))
    return folder.unified(before, after, *(f"iteration {row.iteration}" for row in (old, new)))


def unified(old: IterationRow, new: IterationRow) -> str:
    """A unified diff of two iterations' best candidates; empty where they are equal."""
    import difflib

    return "\n".join(
        difflib.unified_diff(
            (old.candidate or "").splitlines(),
            (new.candidate or "").splitlines(),
            fromfile=f"iteration {old.iteration} ({old.operator}, score {output.score_of(old)})",
            tofile=f"iteration {new.iteration} ({new.operator}, score {output.score_of(new)})",
            lineterm="",
        )
    )


def set_aside(row: IterationRow) -> Iterator[str]:
    """One line for each model whose answers the iteration could not go on from, as their prompts are no longer the ones
    that are built."""
    by_model: dict[str, list[SetAsideCall]] = {}
    for call in row.set_aside:
        by_model.setdefault(call.model, []).append(call)
    for model, calls in by_model.items():
        tokens = sum(call.prompt_tokens + call.completion_tokens for call in calls)
        operators = ", ".join(dict.fromkeys(call.operator for call in calls))
        number = "1 call" if len(calls) == 1 else f"{len(calls):,} calls"
        yield f"{number} of {model} ({operators}), {output.count(tokens)} tokens, kept and billed"


def measured(verdict: VerdictRow) -> str:
    """What a score measured, to stand behind its name; empty for any other check."""
    if verdict.value is None:
        return ""
    metrics = "".join(f", {name} {output.score(None, value)}" for name, value in sorted(verdict.metrics.items()))
    return f" = {output.score(None, verdict.value)}{metrics}"


def document(row: IterationRow) -> dict[str, Any]:
    """An iteration as `history --json` writes it."""
    return {
        "iteration": row.iteration,
        "operator": row.operator,
        "model": row.model,
        "candidate": row.candidate,
        "score": row.score,
        "value": row.value,
        "improved": row.improved,
        "guard": row.guard,
        "let_through": row.let_through,
        "behaviour": row.behaviour,
        "inputs": list(row.inputs),
        "hint": row.hint,
        "repeated_tokens": row.repeated_tokens,
        "verdicts": [
            {
                "check": verdict.check,
                "passed": verdict.passed,
                "held_out": verdict.held_out,
                "score": verdict.score,
                "value": verdict.value,
                "metrics": dict(verdict.metrics),
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
        "omissions": [dataclasses.asdict(omission) for omission in row.omissions],
        "question": row.question or None,
        "hints": [advice.document(hint) for hint in row.hints],
        "set_aside": [dataclasses.asdict(call) for call in row.set_aside],
    }


def _line(row: IterationRow) -> tuple[str, ...]:
    verdicts = ", ".join(f"{'+' if v.passed else '-'}{v.check}{v.notes}" for v in row.verdicts)
    let_through = f" (let through: {row.let_through})" if row.let_through else ""
    inputs = f"{len(row.inputs)} input{'s' * (len(row.inputs) != 1)}" if row.inputs else ""
    return (
        str(row.iteration),
        row.operator,
        output.score_of(row),
        f"degenerate ({row.guard})" if row.guard else f"{verdicts or inputs or _advice(row) or '-'}{let_through}",
        output.count(row.prompt_tokens + row.completion_tokens),
        "-" if row.seconds is None else f"{row.seconds:.1f}",
        row.decision,
    )


def _advice(row: IterationRow) -> str:
    """What an iteration without candidates brought: the advice of an escalation, or a question to the owner."""
    if row.question:
        return f"asks: {row.question}"
    if row.operator != "hint":
        return ""
    return f"{len(row.hint.split())} words of advice" if row.hint else "no advice came"


def _print_whole(row: IterationRow) -> None:
    print()
    score = output.score_of(row)
    output.line(f"── iteration {row.iteration} · {row.operator} · score {score} " + "─" * 20)
    for hint in row.hints:
        output.line(f"hint of {hint.by} ({hint.source}):")
        output.text(hint.text)
        print()
    output.text(row.candidate or row.hint or row.question or "\n".join(row.inputs) or "(no candidate)")
    for verdict in row.verdicts:
        print()
        output.line(f"{'passed' if verdict.passed else 'failed'}: {verdict.check}{measured(verdict)}")
        if verdict.feedback:
            output.text(verdict.feedback)
