"""`redraft cost`: what was spent, added up."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import output

if TYPE_CHECKING:
    from tasks.store.costs import CostBy

app = typer.Typer()


@app.command()
def cost(
    by: Annotated[str, typer.Option("--by", metavar="job|owner|model|day", help="What it is added up by.")] = "job",
    as_json: output.Json = False,
) -> None:
    """Add up the calls, tokens and dollars of your jobs. --json: one object a line. Days are UTC's."""
    from tasks.store.costs import costs
    from workers.cli.database import open_database

    group = _group(by)
    with open_database() as database:
        found = costs(database, group)
    if as_json:
        for row in found:
            output.emit_line(
                {
                    by: int(row.of) if by == "job" else row.of,
                    "jobs": row.jobs,
                    "calls": row.calls,
                    "prompt_tokens": row.prompt_tokens,
                    "cached_tokens": row.cached_tokens,
                    "completion_tokens": row.completion_tokens,
                    "usd": row.usd,
                    "seconds": row.seconds,
                }
            )
        return
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
        for row in found
    ]
    output.table((by, *numbers), lines, right=(*numbers, *(("job",) if by == "job" else ())))
    total = sum((row.usd for row in found), start=Decimal(0))
    tokens = sum(row.prompt_tokens + row.completion_tokens for row in found)
    output.note(f"in all {output.count(tokens)} tokens and {output.usd(total)}")


def _group(by: str) -> CostBy:
    from tasks.errors import InvalidInput
    from tasks.store.costs import CostBy

    try:
        return CostBy(by)
    except ValueError:
        raise InvalidInput("--by", by, f"one of {', '.join(CostBy)}") from None
