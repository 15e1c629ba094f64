"""A batch: jobs of one owner with one budget. What it has left for a call, what was spent of it, and in which order its
jobs take their turns. All times are the database's.

Every function belongs to a transaction that holds the job's lease, and locks the batch's row after it, never before.
"""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, insert, text

from tasks.errors import BatchLimitReached, BatchReserved
from tasks.store.tables import batches
from tasks.thompson import MOST_EARLIER, Counts, expected_tokens
from tasks.types import BatchBudget

# What calls in flight and open escalations of a batch may still cost. A call counts while its holder may commit it; an
# escalation outlives its holder, so it counts itself and its reservation of tokens does not.
RESERVED = """
SELECT (SELECT coalesce(sum(r.tokens), 0) FROM reservations r JOIN leases l ON l.job_id = r.job_id
            AND l.epoch = r.epoch AND l.worker IS NOT NULL JOIN jobs j ON j.id = r.job_id
        WHERE j.batch_id = {batch} AND r.operator <> 'escalate')::bigint + e.tokens AS tokens, e.usd
FROM (SELECT coalesce(sum(x.prompt_tokens + x.completion_tokens), 0)::bigint AS tokens,
             coalesce(sum(x.reserved_usd), 0) AS usd
      FROM escalations x JOIN jobs j ON j.id = x.job_id WHERE j.batch_id = {batch} AND x.finished_at IS NULL) e
"""


def create(connection: Connection, budget: BatchBudget) -> int:
    """A new batch of the login's own. Returns its number."""
    row = {"budget_tokens": budget.tokens, "budget_usd": budget.usd, "budget_hours": budget.hours}
    return int(connection.execute(insert(batches).values(row).returning(batches.c.id)).scalar_one())


def admit(connection: Connection, job: int, *, tokens: int, usd: Decimal = Decimal(0)) -> None:
    """Lets a call of at most so many `tokens` and `usd` begin, where the job's batch can pay for it beside all that is
    reserved; a job of no batch may always. Until this transaction ends nobody else may reserve.

    Raises `BatchLimitReached` where the batch can't pay for it, and `BatchReserved` where it could once calls in flight
    have cost less than they may.
    """
    batch = connection.execute(
        text("""SELECT b.*, extract(epoch FROM clock_timestamp() - b.started_at)::float / 3600 AS hours
                FROM batches b JOIN jobs j ON j.batch_id = b.id WHERE j.id = :job FOR NO KEY UPDATE OF b"""),
        {"job": job},
    ).one_or_none()
    if batch is None:
        return
    if batch.started_at is None:
        connection.execute(text("UPDATE batches SET started_at = now() WHERE id = :batch"), {"batch": batch.id})
    elif batch.budget_hours is not None and batch.hours >= batch.budget_hours:
        raise BatchLimitReached("hours", batch.hours, batch.budget_hours)
    # A statement of its own, begun after the lock was held: it sees what others reserved before.
    reserved = connection.execute(text(RESERVED.format(batch=":batch")), {"batch": batch.id}).one()
    units: tuple[tuple[str, Any, Any, Any, Any], ...] = (
        ("tokens", batch.tokens, reserved.tokens, batch.budget_tokens, tokens),
        ("usd", batch.usd, reserved.usd, batch.budget_usd, usd),
    )
    for unit, used, held, limit, needed in units:
        if limit is None or not needed:
            continue
        if used + needed > limit:
            raise BatchLimitReached(unit, used, limit, needed=needed)
        if used + held + needed > limit:
            raise BatchReserved(f"{unit}: {used:,} of the batch's {limit:,} are used and {held:,} reserved")


def charge(connection: Connection, job: int, *, tokens: int, usd: Decimal) -> None:
    """Adds what a call has cost to the spend of the job's batch, if it has one."""
    connection.execute(
        text("""UPDATE batches SET tokens = tokens + :tokens, usd = usd + :usd
                WHERE id = (SELECT batch_id FROM jobs WHERE id = :job)"""),
        {"job": job, "tokens": tokens, "usd": usd},
    )


def count_iteration(connection: Connection, job: int, *, earlier: int, partly: bool, solved: bool) -> None:
    """Counts for its family whether an iteration solved a job of a batch, which had had `earlier` ones before, and
    whose best candidate until then had `partly` passed."""
    connection.execute(
        text(f"""INSERT INTO family_counts AS c (owner, family, earlier, partly, solved, failed)
                 SELECT j.owner, {_FAMILY}, :earlier, :partly, :solved, 1 - :solved FROM jobs j WHERE j.id = :job
                 ON CONFLICT (owner, family, earlier, partly)
                 DO UPDATE SET solved = c.solved + EXCLUDED.solved, failed = c.failed + EXCLUDED.failed"""),  # noqa: S608
        {"job": job, "earlier": min(earlier, MOST_EARLIER), "partly": partly, "solved": int(solved)},
    )


def leave(connection: Connection, job: int) -> None:
    """Ranks a job of a batch anew after an iteration that did not solve it, and lets any worker take it: the batch goes
    on with whichever of its jobs is ranked first."""
    row = connection.execute(
        text(f"""
        SELECT j.spec_hash, j.iterations, j.local_tokens + j.cloud_tokens AS tokens, n.*
        FROM jobs j CROSS JOIN LATERAL (
            SELECT coalesce(sum(c.solved) FILTER (WHERE c.family = {_FAMILY} AND c.partly = (j.score > 0)), 0)::int
                       AS solved,
                   coalesce(sum(c.failed) FILTER (WHERE c.family = {_FAMILY} AND c.partly = (j.score > 0)), 0)::int
                       AS failed,
                   coalesce(sum(c.solved), 0)::int AS all_solved, coalesce(sum(c.failed), 0)::int AS all_failed
            FROM family_counts c WHERE c.owner = j.owner AND c.earlier = least(j.iterations, :most)) n
        WHERE j.id = :job"""),  # noqa: S608 - its one part is a constant
        {"job": job, "most": MOST_EARLIER},
    ).one()
    rank = expected_tokens(
        row.tokens,
        row.iterations,
        Counts(solved=row.solved, failed=row.failed),
        Counts(solved=row.all_solved, failed=row.all_failed),
        random.Random(f"{row.spec_hash}/{row.iterations}"),  # noqa: S311 - the same draw whenever it is repeated
    )
    connection.execute(
        text("UPDATE leases SET batch_rank = :rank, last_worker = NULL WHERE job_id = :job"), {"job": job, "rank": rank}
    )


# The kind of task a job is: its tags, else the kinds of its checks.
_FAMILY = """coalesce(
    nullif(array_to_string(ARRAY(SELECT t FROM unnest(j.tags) t ORDER BY t), ' '), ''),
    (SELECT string_agg(DISTINCT x ->> 'kind', '+' ORDER BY x ->> 'kind') FROM jsonb_array_elements(j.checks) x))"""
