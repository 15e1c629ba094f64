"""What a budget says to a call before it begins, and what it says of what was used. Pure: it knows amounts and limits,
not whose they are nor where they are kept.

A call is admitted by its most costly outcome, beside all that is used and all that is reserved for calls in flight; it
is charged what it did use, which is no more. So no limit is passed, whatever runs at once. Only a provider that reports
more than it was asked to take at most can pass one: by so much, and nothing begins after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from tasks.types import BatchBudget, Budget, Egress

# The shares of a limit, in percent, at which its owner is told once.
WARN_AT = (50, 80)
# Engine time that one call may be given. The least is a prompt's prefill and some words; where much is left a call gets
# a quarter of it at most, so that calls in flight together don't wait for each other.
MOST_CALL_SECONDS = 3600.0
LEAST_CALL_SECONDS = 30.0
# With less than this left nothing is worth beginning.
SPENT_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What a call costs, or may cost at most: US dollars, tokens in + out of the cloud and of local engines, and
    seconds of a local engine (two calls at once count twice)."""

    usd: Decimal = Decimal(0)
    cloud_tokens: int = 0
    local_tokens: int = 0
    gpu_seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Of the cloud and local together."""
        return self.cloud_tokens + self.local_tokens


NOTHING = Amounts()


def above(used: Amounts, reserved: Amounts) -> Amounts:
    """What a call used beyond its reservation. The engine's time has none of it: a call is cut when its share is over,
    and no promise hangs on the last tenth of a second."""
    return Amounts(
        usd=max(Decimal(0), used.usd - reserved.usd),
        cloud_tokens=max(0, used.cloud_tokens - reserved.cloud_tokens),
        local_tokens=max(0, used.local_tokens - reserved.local_tokens),
    )


class Room(StrEnum):
    """Whether a limit has room for a call."""

    FITS = "fits"
    RESERVED = "reserved"  # it may have, once calls in flight have cost less than they may
    SPENT = "spent"


def room(limit: Decimal | float | None, used: Decimal | float, held: Decimal | float, needed: Decimal | float) -> Room:
    """Whether `needed` fits beside what is `used` and what is `held` for calls in flight; a limit of None has room for
    all, and what needs nothing fits always. The numbers are of one type."""
    if limit is None or not needed:
        return Room.FITS
    if used + needed > limit:  # type: ignore[operator]  # of one type
        return Room.SPENT
    return Room.RESERVED if used + held + needed > limit else Room.FITS  # type: ignore[operator]


def call_seconds(limit: float, used: float, held: float) -> float:
    """Seconds of the engine that a call may take, where `used` and `held` are of `limit`: the call is cut when they are
    over, so they are its upper bound. 0 where too little is left."""
    left = limit - used - held
    if left < SPENT_SECONDS:
        return 0.0
    return min(left, MOST_CALL_SECONDS, max(left / 4, LEAST_CALL_SECONDS))


def turn_seconds(limit: float, used: float, held: float, own: float) -> float:
    """Seconds that a call of a turn may take, where the time of turns is limited: calls of one turn at once take no
    more of it than the longest, so one may always last for the `own` seconds that its turn already has of those
    `held`. 0 where too little is left."""
    seconds = max(own, call_seconds(limit, used, max(0.0, held - own)))
    return seconds if seconds >= SPENT_SECONDS else 0.0


def crossed(limit: Decimal | float | None, before: Decimal | float, after: Decimal | float) -> tuple[int, ...]:
    """The percents of `WARN_AT` that what is used has come to, from `before` to `after`."""
    if not limit:
        return ()
    return tuple(p for p in WARN_AT if before * 100 < limit * p <= after * 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class MostCost:
    """The most that a job, or jobs together, can cost by the rules of reservation: no call begins that could pass one
    of these. `hours` are those of the jobs added up, as are `iterations`; None is no limit."""

    usd: Decimal
    tokens: int
    local_tokens: int
    cloud_tokens: int
    hours: float
    iterations: int
    gpu_seconds: float | None


def most_cost(budget: Budget, egress: Egress) -> MostCost:
    """Of one job; one that may not ask the cloud costs no dollars."""
    at_home = egress is Egress.NEVER
    local = _least(budget.tokens, budget.local_tokens)
    cloud = 0 if at_home else _least(budget.tokens, budget.cloud_tokens)
    return MostCost(
        usd=Decimal(0) if at_home else budget.usd,
        tokens=min(budget.tokens, local + cloud),
        local_tokens=local,
        cloud_tokens=cloud,
        hours=budget.hours,
        iterations=budget.iterations,
        gpu_seconds=budget.gpu_seconds,
    )


def most_together(costs: Sequence[MostCost], pool: BatchBudget | None = None) -> MostCost:
    """Of several jobs, which may share a budget beside their own."""
    pool = pool or BatchBudget()
    seconds = [cost.gpu_seconds for cost in costs]
    tokens = _least(sum(cost.tokens for cost in costs), pool.tokens)
    usd = sum((cost.usd for cost in costs), Decimal(0))
    return MostCost(
        usd=usd if pool.usd is None else min(usd, pool.usd),
        tokens=tokens,
        local_tokens=min(tokens, sum(cost.local_tokens for cost in costs)),
        cloud_tokens=min(tokens, sum(cost.cloud_tokens for cost in costs)),
        hours=sum(cost.hours for cost in costs) if pool.hours is None else _hours(costs, pool.hours),
        iterations=sum(cost.iterations for cost in costs),
        gpu_seconds=None if None in seconds else sum(one for one in seconds if one is not None),
    )


def _hours(costs: Sequence[MostCost], pool: float) -> float:
    """A pool's hours are by the clock, so each job has them at most."""
    return sum(min(cost.hours, pool) for cost in costs)


def _least(amount: int, other: int | None) -> int:
    return amount if other is None else min(amount, other)
