"""The help that a job was given, as a table of its page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tasks.printable import printable
from tasks.store.summaries import EgressRow
from workers.cli import output

_COLUMNS = (
    ("iteration", True), ("kind", False), ("model", False), ("state", False), ("tokens", True), ("spent", True),
    ("score before", True), ("score with it", True), ("accepted", False),
)  # fmt: skip


def help_table(rows: Sequence[EgressRow]) -> str:
    """One line a request that left."""
    head = "".join(f"<th{' class=number' if number else ''}>{name}</th>" for name, number in _COLUMNS)
    return f"<table><tr>{head}</tr>{''.join(map(_line, rows))}</table>"


def _line(row: EgressRow) -> str:
    values = (
        str(row.iteration),
        row.kind,
        row.model,
        f"{row.state}: {row.error}" if row.error else row.state,
        output.count(row.prompt_tokens + row.completion_tokens),
        output.usd(row.usd if row.finished_at else row.reserved_usd) + ("" if row.finished_at else " at most"),
        output.score_of(row.best_before),
        output.score_of(row.best_after),
        "yes" if row.accepted else "no",
    )
    cells = (
        f"<td{' class=number' if number else ''}>{escape(printable(value))}</td>"
        for value, (_, number) in zip(values, _COLUMNS, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"
