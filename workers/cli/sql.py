"""`redraft sql`: one read-only statement, or a prompt for many."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import output

if TYPE_CHECKING:
    from tasks.client import Client
    from tasks.store.summaries import Rows

app = typer.Typer()
VIEWS = (
    "job_summary",
    "iteration_history",
    "verdict_history",
    "call_history",
    "batch_summary",
    "spend_by_day",
    "memory_lessons",
    "hint_history",
    "escalation_history",
)


@app.command()
def sql(
    query: Annotated[
        str | None, typer.Argument(metavar="[QUERY]", help="Default: standard input, or a prompt.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Query the documented views, read-only: one statement, at most 30 s. --json: one object per row.

    Views: job_summary, iteration_history, verdict_history, call_history, spend_by_day, memory_lessons,
    hint_history, escalation_history. You see your own jobs.
    """
    from workers.cli.client import connect

    with connect() as client:
        if query is None and sys.stdin.isatty():
            _prompt(client, as_json=as_json)
        else:
            _print(client.sql(sys.stdin.read() if query is None else query), as_json=as_json)


def _prompt(client: Client, *, as_json: bool) -> None:
    """Reads statements that end with a semicolon until the end of input; after a wrong one it says why and goes on."""
    from tasks.errors import InvalidInput

    output.note(f"read-only; end a statement with ; and leave with Ctrl-D. Views: {', '.join(VIEWS)}")
    for statement in _statements():
        try:
            _print(client.sql(statement), as_json=as_json)
        except InvalidInput as error:
            output.note(error.allowed)


def _statements() -> Iterator[str]:
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  (gives input() its line editing)
    lines: list[str] = []
    while True:
        try:
            line = input("redraft> " if not lines else "    ...> ")
        except EOFError:
            output.note("")
            return
        if not lines and line.strip().lower() in ("", "exit", "quit", "\\q"):
            if line.strip():
                return
            continue
        lines.append(line)
        if line.rstrip().endswith(";"):
            yield "\n".join(lines)
            lines = []


def _print(result: Rows, *, as_json: bool) -> None:
    if as_json:
        for row in result.rows:
            output.emit_line({name: _json(value) for name, value in zip(result.columns, row, strict=True)})
    elif result.columns:
        numbers = [
            name
            for index, name in enumerate(result.columns)
            if result.rows and all(isinstance(row[index], int | float | Decimal | None) for row in result.rows)
        ]
        output.table(result.columns, [[_cell(value) for value in row] for row in result.rows], right=numbers)
        if sys.stdout.isatty():
            output.note(f"{len(result.rows)} row{'' if len(result.rows) == 1 else 's'}")
    if result.cut:
        output.note(f"cut off after {len(result.rows):,} rows; LIMIT and OFFSET reach the rest")


def _json(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    return None if isinstance(value, float | Decimal) and not math.isfinite(value) else value


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:.0f}" if abs(value) >= 1e6 else f"{value:.6g}"  # 2000000, never 2e+06
        case dict() | list():
            return json.dumps(value, ensure_ascii=False, default=str)
        case _:
            return str(value)
