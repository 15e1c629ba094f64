"""What a budget says to a call before it begins, and what it says of what was used. Pure: it knows amounts and limits,
not whose they are nor where they are kept.

A call is admitted by its most costly outcome, beside all that is used and all that is reserved for calls in flight; it
is charged what it did use, which is never more. So no limit is passed, whatever runs at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


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
