"""`redraft budget`: the limits of a day, of the deployment and of its owners. Days are UTC's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import output

if TYPE_CHECKING:
    from tasks.store.summaries import DailyLimit

app = typer.Typer()
UNITS = ("usd", "cloud_tokens", "local_tokens", "gpu_seconds", "hours", "iterations")
# Of the database's columns: 8 digits before the point for dollars, a bigint for the rest.
_TOKENS = Decimal(10**15)
MOST = {
    "usd": Decimal(99_999_999),
    "cloud_tokens": _TOKENS,
    "local_tokens": _TOKENS,
    "gpu_seconds": Decimal(10**12),
    "hours": Decimal(10**9),
    "iterations": _TOKENS,
}


@app.command()
def ls(as_json: output.Json = False) -> None:
    """Show the limits of today, what is used of each, and what calls in flight hold. --json: one object per line."""
    from workers.addresses import database_url
    from workers.cli.client import connect

    with connect(database_url(admin=True)) as client:
        limits = client.daily_limits()
    if as_json:
        for limit in limits:
            output.emit_line(document(limit))
        return
    if not limits:
        print("no limit of a day is set: `redraft budget set usd=5` sets one for the deployment")
        return
    lines = [
        (
            limit.owner or "the deployment",
            limit.unit,
            *(_amount(limit.unit, one) for one in (limit.limit, limit.used, limit.held)),
        )
        for limit in limits
    ]
    output.table(("of", "unit", "limit", "used", "in flight"), lines, right=("limit", "used", "in flight"))
    if any(limit.part for limit in limits):
        output.note("of the deployment's use this login sees its own part")
    output.note(f"the day is UTC's and ends in {output.duration(limits[0].seconds_left)}")


@app.command("set")
def set_limits(
    amounts: Annotated[
        list[str],
        typer.Argument(
            metavar="UNIT=NUMBER...",
            help="Of usd, cloud_tokens, local_tokens, gpu_seconds, hours, iterations; `none` removes.",
        ),
    ],
    owner: Annotated[
        str, typer.Option(metavar="NAME", help="Of this owner; '*': of each owner that has none of its own.")
    ] = "",
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Default: REDRAFT_DATABASE_URL, or the local stack's.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Limit what the deployment, or an owner, may use in a day (UTC). Needs a worker's login or a superuser's.

    A limit of usd or cloud_tokens keeps jobs from the cloud, and they go on locally; any other lets them wait until
    the day is over. It holds at once, for jobs that run too.
    """
    from tasks.errors import InvalidInput
    from tasks.store.daily import EACH_OWNER
    from workers.addresses import database_url
    from workers.cli.client import connect

    given = read_amounts(amounts)
    if not re.fullmatch(r"[^\x00-\x1f\x7f]{0,63}", owner):
        raise InvalidInput("--owner", owner, "the name of a login, or '*'")
    with connect(url or database_url(admin=True)) as client:
        client.set_daily_limits(owner, given)
    if as_json:
        output.emit({"owner": owner or None, **given})
        return
    for unit, amount in given.items():
        whose = "each owner" if owner == EACH_OWNER else f"owner {owner}" if owner else "the deployment"
        print(f"{whose}: {'no limit' if amount is None else f'{_amount(unit, amount)} a day'} of {unit}")


def read_amounts(texts: Sequence[str]) -> dict[str, Decimal | int | float | None]:
    """Limits by unit, as they were written; None for `none`. Raises `InvalidInput`."""
    from tasks.errors import InvalidInput

    allowed = f"UNIT=NUMBER, from 0, or UNIT=none; units are {', '.join(UNITS)}"
    given: dict[str, Decimal | int | float | None] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        unit, _, written = part.partition("=")
        if unit not in UNITS or unit in given:
            raise InvalidInput("UNIT=NUMBER", part, allowed if unit not in given else f"{unit} is given once")
        given[unit] = None if written == "none" else _number(unit, written, part, allowed)
    return given


def _number(unit: str, written: str, part: str, allowed: str) -> Decimal | int | float:
    from tasks.errors import InvalidInput

    try:
        number = Decimal(written.replace("_", ""))
    except InvalidOperation:
        raise InvalidInput("UNIT=NUMBER", part, allowed) from None
    if not number.is_finite() or not 0 <= number <= MOST[unit]:
        raise InvalidInput("UNIT=NUMBER", part, f"{allowed}; at most {MOST[unit]:,}")
    if unit == "usd":
        return number
    if unit in ("gpu_seconds", "hours"):
        return float(number)
    if number != int(number):
        raise InvalidInput("UNIT=NUMBER", part, f"{unit} are whole")
    return int(number)


def document(limit: DailyLimit) -> dict[str, Any]:
    """A limit as `budget ls --json` writes it; `owner` is null for the whole deployment."""
    amounts = {"limit": limit.limit, "used": limit.used, "in_flight": limit.held}
    return {
        "owner": limit.owner or None,
        "unit": limit.unit,
        **amounts,
        "seconds_left": round(limit.seconds_left),
        "part": limit.part,
    }


def _amount(unit: str, amount: Decimal | float) -> str:
    decimals = {"usd": 4, "hours": 2}.get(unit, 0)
    return f"{amount:,.{decimals}f}"
