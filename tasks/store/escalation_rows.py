"""Escalations as people and scripts read them, of the login's own jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import text

from tasks.store.session import Database, explained


@dataclass(frozen=True, slots=True, kw_only=True)
class EscalationRow:
    """A row of `escalation_history` without its texts. One that waits is sent again after `next_seconds`."""

    escalation: int
    job: int
    iteration: int
    kind: str
    model: str
    provider: str
    state: str
    response_id: str | None
    reserved_usd: Decimal
    usd: Decimal
    tokens: int
    tries: int
    refusals: int
    error: str
    created_at: datetime
    finished_at: datetime | None
    next_at: datetime | None
    next_seconds: float | None
    charged_usd: Decimal | None
    settled_by: str | None
    settled_at: datetime | None

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.finished_at is None

    @property
    def unsettled(self) -> bool:
        """Whether nobody knows what it cost."""
        return self.state == "unknown" and self.settled_at is None


def escalation_rows(
    database: Database, job: int | None = None, *, unsettled: bool = False, limit: int | None = None
) -> tuple[EscalationRow, ...]:
    """Those of `job`, or of all jobs, the newest first; only those whose cost nobody knows where `unsettled`. Raises
    `DatabaseUnavailable`."""
    query = text("""
        SELECT escalation, job, iteration, kind, model, provider, state, response_id, reserved_usd, usd,
               prompt_tokens + completion_tokens AS tokens, tries, refusals, error, created_at, finished_at, next_at,
               extract(epoch FROM next_at - clock_timestamp())::float AS next_seconds, charged_usd, settled_by,
               settled_at
        FROM escalation_history
        WHERE (CAST(:job AS bigint) IS NULL OR job = :job)
          AND (NOT :unsettled OR (state = 'unknown' AND settled_at IS NULL))
        ORDER BY escalation DESC LIMIT :limit""")
    with database.connect() as connection, explained():
        rows = connection.execute(query, {"job": job, "unsettled": unsettled, "limit": limit}).all()
    return tuple(EscalationRow(**row._mapping) for row in rows)
