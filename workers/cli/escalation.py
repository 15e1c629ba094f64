"""`redraft escalation`: the requests to the cloud, and what the operator says of those whose cost nobody knows."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from workers.cli import escalated, output
from workers.cli.jobs import LARGEST, JobArgument

app = typer.Typer(no_args_is_help=True)
MOST_USD = Decimal(100_000)


@app.command()
def ls(
    job: Annotated[
        int | None, typer.Argument(metavar="[JOB]", min=1, max=LARGEST, help="Only those of this job.")
    ] = None,
    unknown: Annotated[bool, typer.Option("--unknown", help="Only those whose cost nobody knows.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most this many; --json lists all.")] = 50,
    as_json: output.Json = False,
) -> None:
    """List requests to the cloud, the newest first, each with where it stands. --json: one object per line."""
    from workers.cli.client import connect

    with connect() as client:
        rows = client.escalations(job, unsettled=unknown, limit=None if as_json else limit + 1)
    if as_json:
        for row in rows:
            output.emit_line(escalated.document(row))
        return
    lines = [
        (str(row.job), str(row.iteration), row.kind, row.model, row.state, output.usd(row.usd), escalated.line(row))
        for row in rows[:limit]
    ]
    columns = ("job", "iter", "kind", "model", "state", "spent", "where it stands")
    output.table(columns, lines, right=("job", "iter", "spent"))
    if len(rows) > limit:
        output.note(f"the newest {limit}; --limit shows more")


@app.command()
def settle(
    job: JobArgument,
    iteration: Annotated[int, typer.Argument(metavar="ITERATION", min=1, max=2**31 - 1, help="Its iteration.")],
    usd: Annotated[str, typer.Option("--usd", metavar="X", help="What the provider's bill says, in US dollars.")],
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", metavar="N", min=0, max=2**31 - 1, help="Tokens in and out by the bill, if it says."),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Charge an escalation whose cost nobody knows what the provider's bill says, once.

    The spend of its job, of its batch and of every view follows in the same transaction. Needs an operator's login: the
    local stack's own, or that of a worker as REDRAFT_DATABASE_URL.
    """
    import dataclasses
    import getpass

    from workers.addresses import worker_database_url
    from workers.cli.client import connect

    amount = _dollars(usd)
    with connect(worker_database_url()) as client:
        bill = client.settle_escalation(job, iteration, usd=amount, tokens=tokens, who=getpass.getuser())
    if as_json:
        output.emit(dataclasses.asdict(bill))
        return
    charged = f"{output.usd(bill.usd)} and {bill.tokens:,} tokens instead of {output.usd(bill.before)}"
    print(f"job {bill.job}, iteration {bill.iteration}: {charged}, settled by {bill.by}")
    if bill.usd > bill.before:
        output.note("that is more than it could cost by the table of prices: look at REDRAFT_CLOUD_PRICES")


def _dollars(said: str) -> Decimal:
    """Raises `InvalidInput`."""
    from tasks.errors import InvalidInput

    allowed = f"a number from 0 to {MOST_USD:,} with at most six decimals"
    try:
        amount = Decimal(said)
    except InvalidOperation:
        raise InvalidInput("--usd", said, allowed) from None
    if not amount.is_finite() or not 0 <= amount <= MOST_USD or amount != round(amount, 6):
        raise InvalidInput("--usd", said, allowed)
    return amount
