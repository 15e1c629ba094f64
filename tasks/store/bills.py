"""What the operator says of an escalation whose cost nobody knew: the provider's bill in place of the reservation. All
times are the database's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from tasks.budgets import Amounts, above
from tasks.errors import NoSuchEscalation, NotSettleable, OperatorNeeded
from tasks.store import budgets, leases
from tasks.store.session import Database, explained


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A settled escalation: it was charged `before` and costs `usd` and `tokens` by the bill, as `by` said at `at`."""

    job: int
    iteration: int
    before: Decimal
    usd: Decimal
    tokens: int
    by: str
    at: datetime


def settle(
    database: Database, job: int, iteration: int, *, usd: Decimal, tokens: int | None = None, who: str = ""
) -> Bill:
    """Charges the escalation of that iteration what the provider's bill says, once, and corrects the spend of its job,
    of its batch and of all that adds up calls, in one transaction. Without `tokens` they stay as they were reserved,
    and become none where it cost nothing.

    `who` is the operator's name on this machine; it is kept beside the login. Needs a login that may write for every
    job, as a worker's. Raises `OperatorNeeded`, `NoSuchEscalation`, `NotSettleable`,
    `DatabaseUnavailable`.
    """
    with database.begin() as connection, explained():
        writes = "SELECT has_table_privilege('escalations', 'UPDATE') AND has_table_privilege('calls', 'UPDATE')"
        if not connection.execute(text(writes)).scalar_one():
            raise OperatorNeeded
        connection.execute(text("SELECT 1 FROM leases WHERE job_id = :job FOR UPDATE"), {"job": job})
        row = _unknown(connection, job, iteration)
        before = row.prompt_tokens + row.completion_tokens
        counted = tokens if tokens is not None else (before if usd else 0)
        prompt = min(counted, row.prompt_tokens)
        changed = {"id": row.id, "job": job, "usd": usd, "prompt": prompt, "completion": counted - prompt}
        bill = connection.execute(
            text("""UPDATE escalations SET charged_usd = usd, usd = :usd, prompt_tokens = :prompt, cached_tokens = 0,
                           completion_tokens = :completion, settled_at = clock_timestamp(),
                           settled_by = coalesce(nullif(CAST(:who AS text), '') || ' as ', '') || SESSION_USER
                    WHERE id = :id RETURNING charged_usd AS before, usd, settled_by AS by, settled_at AS at"""),
            {**changed, "who": who},
        ).one()
        connection.execute(
            text("""UPDATE calls SET usd = :usd, prompt_tokens = :prompt, cached_tokens = 0,
                           completion_tokens = :completion
                    WHERE job_id = :job AND operator = 'escalate' AND iteration = :iteration AND finish_reason = 'lost'
                 """),
            {**changed, "iteration": iteration},
        )
        over = above(Amounts(usd=usd, cloud_tokens=counted), Amounts(usd=row.reserved_usd, cloud_tokens=before))
        budgets.charge(connection, job, Amounts(usd=usd - row.usd, cloud_tokens=counted - before), over)
        detail = f"iteration {iteration}: {usd} USD instead of {bill.before}, by {bill.by}"
        leases.note(connection, job, "escalation settled", detail)
        return Bill(job=job, iteration=iteration, tokens=counted, **bill._mapping)


def _unknown(connection: Connection, job: int, iteration: int) -> Row[Any]:
    """The one escalation of the iteration whose cost nobody knows. Raises where there is none."""
    rows = connection.execute(
        text("SELECT * FROM escalations WHERE job_id = :job AND iteration = :iteration ORDER BY id"),
        {"job": job, "iteration": iteration},
    ).all()
    if not rows:
        raise NoSuchEscalation(job, iteration)
    for row in rows:
        if row.state == "unknown" and row.settled_at is None:
            return row
    settled = next((row for row in rows if row.settled_at is not None), None)
    if settled is None:
        raise NotSettleable(job, iteration, f"it is {rows[-1].state}, and its cost is known")
    when = settled.settled_at.isoformat(timespec="seconds")
    tokens = settled.prompt_tokens + settled.completion_tokens
    said = f"{settled.settled_by} settled it at {when}: {settled.usd:.4f} USD, {tokens:,} tokens"
    raise NotSettleable(job, iteration, said)
