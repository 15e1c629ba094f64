"""The hooks as the relay registered them, with what waits for each: the rows, and the query for them. Knows neither
SQLAlchemy nor the driver, so that the quick commands read them, too."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

HOOKS = """
SELECT h.name, h.events, h.delivered, h.delivered_at, h.gone_at,
       count(o.id) FILTER (WHERE o.given_up_at IS NULL) AS waiting,
       count(o.id) FILTER (WHERE o.given_up_at IS NOT NULL) AS given_up,
       min(o.deliver_at) FILTER (WHERE o.given_up_at IS NULL) AS next_at,
       coalesce((array_agg(o.last_error ORDER BY o.given_up_at DESC NULLS LAST, o.attempts DESC))[1], '') AS last_error
FROM hooks h LEFT JOIN outbox o ON o.topic = 'hook ' || h.name AND o.delivered_at IS NULL
GROUP BY h.name ORDER BY h.name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookRow:
    """A hook: the `events` that it wants, how many were `delivered` and when the last was, how many are `waiting` and
    when the next is tried, how many were `given_up`, and why one is not delivered yet. `gone_at` is when its receiver
    said that it wants no more."""

    name: str
    events: tuple[str, ...]
    delivered: int
    delivered_at: datetime | None
    gone_at: datetime | None
    waiting: int
    given_up: int
    next_at: datetime | None
    last_error: str

    @property
    def trouble(self) -> str:
        """What is wrong with it, in one line; empty where all goes well."""
        why = f": {self.last_error}" if self.last_error else ""
        if self.gone_at is not None:
            return f"its receiver wants no more (410), since {self.gone_at:%Y-%m-%d %H:%M %Z}"
        if self.given_up:
            return f"{self.given_up} {'event was' if self.given_up == 1 else 'events were'} given up{why}"
        return f"{self.waiting} {'event waits' if self.waiting == 1 else 'events wait'}{why}" if self.last_error else ""


def hook_row(row: Any) -> HookRow:
    """One row of `HOOKS`."""
    return HookRow(
        name=row.name,
        events=tuple(row.events),
        delivered=row.delivered,
        delivered_at=row.delivered_at,
        gone_at=row.gone_at,
        waiting=row.waiting,
        given_up=row.given_up,
        next_at=row.next_at,
        last_error=row.last_error,
    )
