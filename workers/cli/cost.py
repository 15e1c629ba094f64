"""`redraft cost`: what was spent, added up."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import output

if TYPE_CHECKING:
    from tasks.store.summaries import CostRow

app = typer.Typer()


@app.command()
def cost(
    by: Annotated[str, typer.Option("--by", metavar="job|owner|model|day|batch", help="Group by this.")] = "job",
    as_json: output.Json = False,
) -> None:
    """Add up the calls, tokens and dollars of your jobs. --json: one object per line. Days are in UTC."""
    from tasks.jobfields import check_name
    from tasks.store.costs import CostBy
    from workers.cli.client import connect

    check_name("--by", by, tuple(CostBy))
    with connect() as client:
        rows = client.cost(by)
    if as_json:
        for row in rows:
            output.emit_line(document(by, row))
    else:
        _print_table(by, rows)


def document(by: str, row: CostRow) -> dict[str, Any]:
    """A group's costs as `cost --json` writes them."""
    return {
        by: int(row.of) if by == "job" else row.of,
        "jobs": row.jobs,
        "calls": row.calls,
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": row.cached_tokens,
        "completion_tokens": row.completion_tokens,
        "usd": row.usd,
        "seconds": row.seconds,
    }


def _print_table(by: str, rows: Sequence[CostRow]) -> None:
    numbers = ("jobs", "calls", "in", "cached", "out", "seconds", "spent")
    lines = [
        (
            row.of,
            str(row.jobs),
            str(row.calls),
            output.count(row.prompt_tokens),
            output.count(row.cached_tokens),
            output.count(row.completion_tokens),
            f"{row.seconds:.0f}",
            output.usd(row.usd),
        )
        for row in rows
    ]
    output.table((by, *numbers), lines, right=(*numbers, *(("job",) if by == "job" else ())))
    total = sum((row.usd for row in rows), start=Decimal(0))
    tokens = sum(row.prompt_tokens + row.completion_tokens for row in rows)
    output.note(f"in all {output.count(tokens)} tokens and {output.usd(total)}")
