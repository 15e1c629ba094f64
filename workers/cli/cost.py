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
    by: Annotated[str, typer.Option("--by", metavar="job|owner|model|day|batch|help", help="Group by this.")] = "job",
    as_json: output.Json = False,
) -> None:
    """Add up the calls, tokens and dollars of your jobs. --json: one object per line. Days are in UTC.

    Beside what was spent stands an estimate: what the same tokens would have cost by the cloud's model alone.
    """
    from tasks.jobfields import check_name
    from tasks.settings import load_settings
    from tasks.store.costs import CostBy
    from workers.cli.client import connect
    from workers.cli.cloud_only import cloud_only, words

    check_name("--by", by, tuple(CostBy))
    settings = load_settings()
    with connect() as client:
        rows = client.cost(by)
    estimates = [cloud_only(settings, [row]) for row in rows]
    if as_json:
        for row, estimate in zip(rows, estimates, strict=True):
            output.emit_line(document(by, row, estimate))
        return
    _print_table(by, rows, estimates)
    if rows and (said := words(settings, cloud_only(settings, rows))):
        output.note(said)


def document(by: str, row: CostRow, estimate: Decimal | None) -> dict[str, Any]:
    """A group's costs as `cost --json` writes them; `estimate` is what its tokens would have cost in the cloud."""
    return {
        by: int(row.of) if by == "job" else row.of,
        "jobs": row.jobs,
        "calls": row.calls,
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": row.cached_tokens,
        "completion_tokens": row.completion_tokens,
        "usd": row.usd,
        "cloud_only_usd_estimate": estimate,
        "seconds": row.seconds,
    }


def _print_table(by: str, rows: Sequence[CostRow], estimates: Sequence[Decimal | None]) -> None:
    numbers = ("jobs", "calls", "in", "cached", "out", "seconds", "spent", "cloud only (est.)")
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
            "-" if estimate is None else output.usd(estimate),
        )
        for row, estimate in zip(rows, estimates, strict=True)
    ]
    output.table((by, *numbers), lines, right=(*numbers, *(("job",) if by == "job" else ())))
    total = sum((row.usd for row in rows), start=Decimal(0))
    tokens = sum(row.prompt_tokens + row.completion_tokens for row in rows)
    output.note(f"in all {output.count(tokens)} tokens and {output.usd(total)}")
