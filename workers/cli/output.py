"""How the command line writes: JSON and tables on stdout, words for people on stderr. Knows no command.

All that others wrote passes `printable` on its way to a person; what programs read stays as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import typer

from tasks.printable import printable, printable_json
from workers.wording import count as count  # noqa: PLC0414
from workers.wording import duration as duration  # noqa: PLC0414
from workers.wording import score as score  # noqa: PLC0414
from workers.wording import score_of as score_of  # noqa: PLC0414
from workers.wording import usd as usd  # noqa: PLC0414

# What every command offers.
Json = Annotated[bool, typer.Option("--json", help="Write JSON to stdout.")]


def emit(document: Any, *, indent: int | None = 2) -> None:
    """One JSON document on stdout; moments as ISO 8601 with zone, money as a number."""
    written = json.dumps(document, indent=indent, default=plain, ensure_ascii=False, allow_nan=False)
    print(printable_json(written) if sys.stdout.isatty() else written)


def emit_line(document: Any) -> None:
    """One JSON object on a line of its own, sent at once: for streams."""
    emit(document, indent=None)
    sys.stdout.flush()


def note(message: str) -> None:
    """A line for people, on stderr."""
    print(printable(message), file=sys.stderr)


def log_to_stderr() -> None:
    """What the parts of a command log goes to stderr, as all words do; stdout is for what was asked for."""
    import structlog

    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def line(content: str) -> None:
    """One line for people on stdout, flushed: a step of something that takes time."""
    print(printable(" ".join(content.split("\n"))), flush=True)


def text(content: str) -> None:
    """Text on stdout as it is; on a terminal with escapes for what can't be seen."""
    print(printable(content) if sys.stdout.isatty() else content)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """A table for a terminal as wide as it is, or tab-separated lines into a pipe."""
    if not sys.stdout.isatty():
        for row in [columns, *rows]:
            print("\t".join(printable(cell).replace("\t", " ").replace("\n", " ") for cell in row))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        shown.add_column(Text(printable(name)), justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(printable(cell)) for cell in row))
    Console().print(shown)


def pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values, one pair a line."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        indented = printable(value).replace("\n", "\n" + " " * (width + 2))  # no line of it passes for a pair
        print(f"{name:<{width}}  {indented}")


def plain(value: object) -> object:
    """A value as JSON has it, where JSON has no such type."""
    match value:
        case datetime():
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
        case Decimal():
            return float(value)
        case bytes() | memoryview():
            return bytes(value).hex()
        case tuple() | set() | frozenset():
            return list(value)
        case _:
            return str(value)
