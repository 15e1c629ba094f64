"""The one place where spend is reserved and charged: of a job, its batch, its owner's day and the deployment's day.
Local calls and escalations alike come here. Days are UTC's, by the database's clock.

Every function belongs to a transaction that holds the job's lease. The order of locks is lease, batch, the owner's day,
the deployment's day: whoever takes another in between can deadlock. A day is locked only where it has a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from tasks.budgets import NOTHING, SPENT_SECONDS, Amounts, Room, call_seconds, crossed, room, turn_seconds
from tasks.errors import BatchLimitReached, DailyLimitReached, DailyReserved, LimitReached
from tasks.store import batches, leases, usage

# What is used and reserved of a job. A call in flight holds its reservation; an escalation outlives its holder, so it
# holds what it reserved until it is settled.
_JOB = text("""
SELECT j.owner, j.budget_usd, j.budget_tokens, j.budget_local_tokens, j.budget_cloud_tokens, j.budget_gpu_seconds,
       j.spent_usd + e.usd AS usd, j.local_tokens + r.tokens AS local_tokens, j.cloud_tokens + e.tokens AS cloud_tokens,
       j.engine_seconds AS gpu_seconds, r.seconds AS held_seconds,
       ARRAY(SELECT owner FROM daily_limits WHERE owner IN ('', '*', j.owner)) AS daily
FROM jobs j CROSS JOIN LATERAL (
    SELECT coalesce(sum(reserved_usd), 0) AS usd, coalesce(sum(prompt_tokens + completion_tokens), 0)::bigint AS tokens
    FROM escalations WHERE job_id = j.id AND finished_at IS NULL) e CROSS JOIN LATERAL (
    SELECT coalesce(sum(tokens), 0)::bigint AS tokens, coalesce(sum(seconds), 0) AS seconds FROM reservations
    WHERE job_id = j.id AND operator <> 'escalate') r
WHERE j.id = :job
""")
# Seconds that the calls in flight of a lease h may go on: they are cut then.
CALLED = """SELECT greatest(0, extract(epoch FROM
               max(c.begun_at + make_interval(secs => c.seconds)) - clock_timestamp()))
           FROM reservations c WHERE c.job_id = h.job_id AND c.epoch = h.epoch AND c.operator <> 'escalate'"""
# The limits of a day that hold for an owner, the owner's first; what was used of each since midnight, and what calls in
# flight and open escalations hold. One statement, so one moment: a call that ends between two would count in neither.
_TODAY = text(f"""
WITH day AS (SELECT date_trunc('day', clock_timestamp(), 'UTC') AS begun), limits AS (
    SELECT '' AS owner, usd, cloud_tokens, local_tokens, gpu_seconds, hours, iterations
    FROM daily_limits WHERE owner = ''
    UNION ALL
    SELECT :owner, coalesce(max(usd) FILTER (WHERE owner <> '*'), max(usd)),
           coalesce(max(cloud_tokens) FILTER (WHERE owner <> '*'), max(cloud_tokens)),
           coalesce(max(local_tokens) FILTER (WHERE owner <> '*'), max(local_tokens)),
           coalesce(max(gpu_seconds) FILTER (WHERE owner <> '*'), max(gpu_seconds)),
           coalesce(max(hours) FILTER (WHERE owner <> '*'), max(hours)),
           coalesce(max(iterations) FILTER (WHERE owner <> '*'), max(iterations))
    FROM daily_limits WHERE owner IN ('*', :owner) HAVING count(*) > 0
)
SELECT l.*, (day.begun AT TIME ZONE 'UTC')::date AS day,
       extract(epoch FROM day.begun + interval '24 hours' - clock_timestamp())::float AS seconds_left,
       u.usd AS used_usd, u.cloud_tokens AS used_cloud_tokens, u.local_tokens AS used_local_tokens,
       u.gpu_seconds AS used_gpu_seconds, u.hours + t.hours AS used_hours, u.iterations AS used_iterations,
       e.usd AS held_usd, e.tokens AS held_cloud_tokens, r.tokens AS held_local_tokens, r.seconds AS held_gpu_seconds,
       t.held_hours, 0 AS held_iterations
FROM limits l CROSS JOIN day CROSS JOIN LATERAL (
    SELECT coalesce(sum(usd), 0) AS usd, coalesce(sum(cloud_tokens), 0)::bigint AS cloud_tokens,
           coalesce(sum(local_tokens), 0)::bigint AS local_tokens, coalesce(sum(engine_seconds), 0) AS gpu_seconds,
           coalesce(sum(hours), 0) AS hours, coalesce(sum(iterations), 0)::bigint AS iterations
    FROM owner_usage WHERE hour >= day.begun AND (l.owner = '' OR owner = l.owner)) u CROSS JOIN LATERAL (
    SELECT coalesce(sum(x.reserved_usd), 0) AS usd,
           coalesce(sum(x.prompt_tokens + x.completion_tokens), 0)::bigint AS tokens
    FROM escalations x JOIN leases h ON h.job_id = x.job_id
    WHERE x.finished_at IS NULL AND (l.owner = '' OR h.owner = l.owner)) e CROSS JOIN LATERAL (
    SELECT coalesce(sum(x.tokens), 0)::bigint AS tokens, coalesce(sum(x.seconds), 0) AS seconds
    FROM reservations x JOIN leases h ON h.job_id = x.job_id AND h.epoch = x.epoch AND h.worker IS NOT NULL
    WHERE x.operator <> 'escalate' AND (l.owner = '' OR h.owner = l.owner)) r CROSS JOIN LATERAL (
    SELECT coalesce(sum(extract(epoch FROM clock_timestamp() - h.held_since)), 0)::float / 3600 AS hours,
           coalesce(sum(({CALLED})), 0)::float / 3600 AS held_hours
    FROM leases h WHERE h.worker IS NOT NULL AND (l.owner = '' OR h.owner = l.owner)) t
ORDER BY l.owner = ''
""")  # noqa: S608 - its one part is a constant
# Of what a call costs; a day has limits of time beside them.
COSTS = ("usd", "cloud_tokens", "local_tokens", "gpu_seconds")
UNITS = (*COSTS, "hours", "iterations")
# A limit of a day that keeps a job from the cloud, and not from its local work.
OF_THE_CLOUD = frozenset({"usd", "cloud_tokens"})


def admit(connection: Connection, job: int, most: Amounts) -> float | None:
    """Lets a call of at most `most` begin, where its job, the job's batch, its owner's day and the deployment's can pay
    for it beside all that is reserved. The caller writes the reservation in the same transaction; until it ends nobody
    else of the batch, and of a day with a limit, may reserve. What `most` says of engine time is not looked at.

    Returns how many seconds of the engine a local call may take, None where no limit says. Raises `LimitReached`,
    `BatchLimitReached` and `DailyLimitReached`; `BatchReserved` and `DailyReserved` where only calls in flight stand in
    the way.
    """
    row = connection.execute(_JOB, {"job": job}).one()
    _require("usd", row.budget_usd, row.usd, most.usd)
    _require("tokens", row.budget_tokens, row.local_tokens + row.cloud_tokens, most.tokens)
    _require("cloud_tokens", row.budget_cloud_tokens, row.cloud_tokens, most.cloud_tokens)
    _require("local_tokens", row.budget_local_tokens, row.local_tokens, most.local_tokens)
    seconds = []
    if most.local_tokens and row.budget_gpu_seconds is not None:
        seconds.append(call_seconds(row.budget_gpu_seconds, row.gpu_seconds, row.held_seconds))
        if not seconds[0]:
            raise LimitReached("gpu_seconds", row.gpu_seconds + row.held_seconds, row.budget_gpu_seconds)
    batches.admit(connection, job, tokens=most.tokens, usd=most.usd)
    if row.daily:
        seconds += _admit_today(connection, job, row, most)
    return min(seconds, default=None)


def begin_iteration(connection: Connection, job: int) -> None:
    """Counts an iteration that begins now for the day of its owner and of the deployment. Raises `DailyLimitReached`
    where their iterations, or their hours, are used up; `DailyReserved` where calls in flight hold the last of the
    hours."""
    row = connection.execute(
        text("""SELECT j.owner, ARRAY(SELECT owner FROM daily_limits WHERE owner IN ('', '*', j.owner)) AS daily
                FROM jobs j WHERE j.id = :job"""),
        {"job": job},
    ).one()
    for limits in _lock_today(connection, row.owner, row.daily):
        _require_today(limits, "iterations", 1)
        _seconds_of(limits, 0.0)
    usage.add(connection, row.owner, iterations=1)
    if row.daily:
        _warn_of_today(connection, job, row.owner)


def refusal(limit: LimitReached | DailyLimitReached) -> str:
    """Why a request to the cloud was not sent, in a line."""
    if isinstance(limit, DailyLimitReached):
        return str(limit)
    if isinstance(limit, BatchLimitReached):
        return f"its batch can't pay for it: {limit}"
    needed, left = limit.needed or 0, max(0, limit.limit - limit.value)
    if limit.type == "usd":
        return f"it may cost {needed:.4f} USD, and {left:.4f} of {limit.limit:.2f} are left"
    return f"it may take {needed:,} tokens, and {left:,} of {limit.limit:,} are left"


def charge(connection: Connection, job: int, used: Amounts, over: Amounts = NOTHING) -> None:
    """Adds what a call has cost to the spend of the job and of its batch, and to the usage of its owner's hour; says in
    the job's events where a limit is used to half, or to four fifths. What it cost `over` its reservation is part of
    it, kept beside it and told. The caller gives the call's reservation back in the same transaction."""
    row = connection.execute(
        text("""UPDATE jobs j SET spent_usd = spent_usd + :usd, cloud_tokens = cloud_tokens + :cloud_tokens,
                    local_tokens = local_tokens + :local_tokens, engine_seconds = engine_seconds + :gpu_seconds,
                    over_usd = over_usd + :over_usd, over_cloud_tokens = over_cloud_tokens + :over_cloud_tokens,
                    over_local_tokens = over_local_tokens + :over_local_tokens
                WHERE id = :job RETURNING owner, spent_usd AS usd, cloud_tokens, local_tokens,
                    engine_seconds AS gpu_seconds, cloud_tokens + local_tokens AS tokens, budget_usd, budget_tokens,
                    budget_cloud_tokens, budget_local_tokens, budget_gpu_seconds,
                    EXISTS (SELECT 1 FROM daily_limits d WHERE d.owner IN ('', '*', j.owner)) AS daily"""),
        {"job": job, **_parameters(used), **{f"over_{unit}": amount for unit, amount in _parameters(over).items()}},
    ).one()
    more = [shown(unit, amount) for unit, amount in _parameters(over).items() if amount]
    if more:
        leases.note(
            connection, job, "reservation passed", f"{' and '.join(more)} more than was reserved; all is charged"
        )
    usage.add(connection, row.owner, used)
    batches.charge(connection, job, tokens=used.tokens, usd=used.usd)
    for unit in ("usd", "tokens", "cloud_tokens", "local_tokens", "gpu_seconds"):
        limit, after = getattr(row, f"budget_{unit}"), getattr(row, unit)
        for percent in crossed(limit, after - getattr(used, unit), after):
            _warn(connection, job, f"{percent} % of the job's budget", unit, after, limit)
    if row.daily:
        _warn_of_today(connection, job, row.owner)


def warn_of_time(connection: Connection, job: int) -> None:
    """Says in the job's events, once, where its iterations or its hours are used to half, or to four fifths. For a job
    whose iteration was just counted."""
    row = connection.execute(
        text("""SELECT iterations, budget_iterations, budget_hours,
                       (extract(epoch FROM now() - started_at) - idle_seconds)::float / 3600 AS hours
                FROM jobs WHERE id = :job"""),
        {"job": job},
    ).one()
    for percent in crossed(row.budget_iterations, row.iterations - 1, row.iterations):
        _warn(connection, job, f"{percent} % of the job's budget", "iterations", row.iterations, row.budget_iterations)
    known = text("SELECT 1 FROM events WHERE job_id = :job AND kind = 'budget warning' AND detail LIKE :begin LIMIT 1")
    for percent in crossed(row.budget_hours, 0.0, row.hours or 0.0):
        begin = f"{percent} % of the job's budget: hours"
        if connection.execute(known, {"job": job, "begin": f"{begin}%"}).one_or_none() is None:
            _warn(connection, job, f"{percent} % of the job's budget", "hours", row.hours, row.budget_hours)


def today(connection: Connection, owner: str) -> Sequence[Row[Any]]:
    """The limits of today that hold for an owner, the owner's first, with what was used and what is held of each."""
    return connection.execute(_TODAY, {"owner": owner}).all()


def cloud_is_open(connection: Connection, owner: str) -> bool:
    """Whether the limits of today leave an owner what the last escalation reserved, so that another is worth deciding
    on. Whether it is sent is decided where it is reserved."""
    rows = today(connection, owner)
    if not rows:
        return True
    last = connection.execute(
        text("""SELECT reserved_usd AS usd, prompt_tokens + completion_tokens AS cloud_tokens FROM escalations
                WHERE state <> 'refused' ORDER BY id DESC LIMIT 1""")
    ).one_or_none()
    for row in rows:
        for unit in ("usd", "cloud_tokens"):
            limit, used = getattr(row, unit), getattr(row, f"used_{unit}")
            needed = getattr(last, unit) if last is not None else 0
            if limit is not None and (used >= limit or used + needed > limit):
                return False
    return True


def _require(unit: str, limit: Any, used: Any, needed: Any) -> None:
    """Of a job's own limits: its other calls in flight are used up already. Raises `LimitReached`."""
    if room(limit, used, 0, needed) is not Room.FITS:
        if unit == "usd":
            used, limit, needed = float(used), float(limit), float(needed)
        raise LimitReached(unit, used, limit, needed=needed)


def _lock_today(connection: Connection, owner: str, limited: Sequence[str]) -> Sequence[Row[Any]]:
    """The limits of today that hold for an owner, after which nobody else of them may reserve until this transaction
    ends; `limited` are whose limits there are."""
    for whose in (*([owner] if any(limited) else []), *([""] if "" in limited else [])):
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtext('redraft_day'), hashtext(:whose))"), {"whose": whose}
        )
    # Begun after the locks were held: it sees what others reserved before.
    return today(connection, owner) if limited else ()


def _admit_today(connection: Connection, job: int, limited: Row[Any], most: Amounts) -> list[float]:
    """The seconds that each limit of today leaves a local call. Raises `DailyLimitReached`, `DailyReserved`."""
    seconds = []
    for row in _lock_today(connection, limited.owner, limited.daily):
        for unit in ("usd", "cloud_tokens", "local_tokens"):
            _require_today(row, unit, getattr(most, unit))
        if most.local_tokens and row.gpu_seconds is not None:
            seconds.append(call_seconds(row.gpu_seconds, row.used_gpu_seconds, row.held_gpu_seconds))
            _require_seconds(row, "gpu_seconds", seconds[-1], row.gpu_seconds - row.used_gpu_seconds)
        if row.hours is not None:
            query = text(f"SELECT coalesce(({CALLED}), 0) FROM leases h WHERE h.job_id = :job")  # noqa: S608 - as above
            seconds.append(_seconds_of(row, float(connection.execute(query, {"job": job}).scalar_one())))
    return seconds


def _seconds_of(row: Row[Any], own: float) -> float:
    """How long a call may last by the hours of today; the calls in flight of its own job last for `own` seconds more,
    and it may last as long beside them. Raises `DailyLimitReached`, `DailyReserved`."""
    if row.hours is None:
        return 0.0
    limit, used, held = (3600 * hours for hours in (row.hours, row.used_hours, row.held_hours))
    seconds = turn_seconds(limit, used, held, own)
    _require_seconds(row, "hours", seconds, limit - used)
    return seconds


def _require_seconds(row: Row[Any], unit: str, given: float, left: float) -> None:
    if given:
        return
    if left < SPENT_SECONDS:
        raise DailyLimitReached(_limit_of(row, unit), row.seconds_left, unit)
    raise DailyReserved(f"{_limit_of(row, unit)}, and calls in flight hold the rest")


def _require_today(row: Row[Any], unit: str, needed: Any) -> None:
    limit, used, held = getattr(row, unit), getattr(row, f"used_{unit}"), getattr(row, f"held_{unit}")
    match room(limit, used, held, needed):
        case Room.SPENT:
            more = "" if unit == "iterations" else f", and the next call may take {shown(unit, needed)}"
            why = _limit_of(row, unit) + more
            raise DailyLimitReached(why, row.seconds_left, unit)
        case Room.RESERVED:
            raise DailyReserved(f"{_limit_of(row, unit)}, and calls in flight hold {shown(unit, held)}")


def _limit_of(row: Row[Any], unit: str) -> str:
    whose = f"owner {row.owner}" if row.owner else "the deployment"
    used, limit = shown(unit, getattr(row, f"used_{unit}")), shown(unit, getattr(row, unit))
    return f"{whose} has used {used} of {limit} of today (UTC)"


def shown(unit: str, amount: Any) -> str:
    """An amount with its unit, as people read it."""
    match unit:
        case "usd":
            return f"{amount:.4f} USD"
        case "gpu_seconds":
            return f"{amount:,.0f} GPU-seconds"
        case "hours":
            return f"{amount:,.2f} hours"
        case _:
            return f"{amount:,} {unit.replace('_', ' ')}"


def _warn_of_today(connection: Connection, job: int, owner: str) -> None:
    for row in today(connection, owner):
        for unit in UNITS:
            limit, used = getattr(row, unit), getattr(row, f"used_{unit}")
            for percent in crossed(limit, 0, used):
                first = connection.execute(
                    text("""INSERT INTO daily_warnings (owner, day, unit, percent)
                            VALUES (:owner, :day, :unit, :percent) ON CONFLICT DO NOTHING"""),
                    {"owner": row.owner, "day": row.day, "unit": unit, "percent": percent},
                ).rowcount
                if first:
                    whose = f"the limit of owner {row.owner}" if row.owner else "the deployment's limit"
                    _warn(connection, job, f"{percent} % of {whose} of today (UTC)", unit, used, limit)


def _warn(connection: Connection, job: int, what: str, unit: str, used: Any, limit: Any) -> None:
    used = round(used, 2) if isinstance(used, float) else used
    leases.note(connection, job, "budget warning", f"{what}: {unit} {used:,} of {limit:,} used")


def _parameters(amounts: Amounts) -> dict[str, Any]:
    return {unit: getattr(amounts, unit) for unit in COSTS}
