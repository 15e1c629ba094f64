"""The one place where spend is reserved and charged: of a job, of its batch. Local calls and escalations alike come
here.

Every function belongs to a transaction that holds the job's lease. The order of locks is lease, batch: whoever takes
another in between can deadlock.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from tasks.budgets import Amounts, Room, room
from tasks.errors import BatchLimitReached, LimitReached
from tasks.store import batches

# What is used and reserved of a job. A call in flight holds its reservation; an escalation outlives its holder, so it
# holds what it reserved until it is settled.
_JOB = text("""
SELECT j.owner, j.budget_usd, j.budget_tokens, j.spent_usd + e.usd AS usd,
       j.local_tokens + j.cloud_tokens + e.tokens + r.tokens AS tokens
FROM jobs j CROSS JOIN LATERAL (
    SELECT coalesce(sum(reserved_usd), 0) AS usd, coalesce(sum(prompt_tokens + completion_tokens), 0)::bigint AS tokens
    FROM escalations WHERE job_id = j.id AND finished_at IS NULL) e CROSS JOIN LATERAL (
    SELECT coalesce(sum(tokens), 0)::bigint AS tokens FROM reservations
    WHERE job_id = j.id AND operator <> 'escalate') r
WHERE j.id = :job
""")


def admit(connection: Connection, job: int, most: Amounts) -> None:
    """Lets a call of at most `most` begin, where the job and its batch can pay for it beside all that is reserved. The
    caller writes the reservation in the same transaction; until it ends nobody else of the batch may reserve.

    Raises `LimitReached`, `BatchLimitReached`, and `BatchReserved` where only calls in flight of other jobs stand in
    the way.
    """
    row = connection.execute(_JOB, {"job": job}).one()
    if room(row.budget_usd, row.usd, 0, most.usd) is not Room.FITS:
        raise LimitReached("usd", float(row.usd), float(row.budget_usd), needed=float(most.usd))
    if room(row.budget_tokens, row.tokens, 0, most.tokens) is not Room.FITS:
        raise LimitReached("tokens", row.tokens, row.budget_tokens, needed=most.tokens)
    batches.admit(connection, job, tokens=most.tokens, usd=most.usd)


def refusal(limit: LimitReached) -> str:
    """Why a request to the cloud was not sent, in a line."""
    if isinstance(limit, BatchLimitReached):
        return f"its batch can't pay for it: {limit}"
    needed, left = limit.needed or 0, limit.limit - limit.value
    if limit.type == "usd":
        return f"it may cost {needed:.4f} USD, and {left:.4f} of {limit.limit:.2f} are left"
    return f"it may take {needed:,} tokens, and {left:,} of {limit.limit:,} are left"


def charge(connection: Connection, job: int, used: Amounts) -> None:
    """Adds what a call has cost to the spend of the job and of its batch, and its engine time to its owner's usage. The
    caller gives its reservation back in the same transaction."""
    owner = connection.execute(
        text("""UPDATE jobs SET spent_usd = spent_usd + :usd, cloud_tokens = cloud_tokens + :cloud_tokens,
                    local_tokens = local_tokens + :local_tokens, engine_seconds = engine_seconds + :gpu_seconds
                WHERE id = :job RETURNING owner"""),
        {"job": job, **_parameters(used)},
    ).scalar_one()
    if used.gpu_seconds:
        connection.execute(
            text("""INSERT INTO owner_usage (owner, hour, engine_seconds)
                    VALUES (:owner, date_trunc('hour', now()), :seconds)
                    ON CONFLICT (owner, hour)
                    DO UPDATE SET engine_seconds = owner_usage.engine_seconds + EXCLUDED.engine_seconds"""),
            {"owner": owner, "seconds": used.gpu_seconds},
        )
    batches.charge(connection, job, tokens=used.tokens, usd=used.usd)


def _parameters(amounts: Amounts) -> dict[str, object]:
    return {
        "usd": amounts.usd,
        "cloud_tokens": amounts.cloud_tokens,
        "local_tokens": amounts.local_tokens,
        "gpu_seconds": amounts.gpu_seconds,
    }
