"""What the live page reads of the night and of lists of jobs: a bounded number of statements, each over narrow rows.
Row-level security decides whose. Writes nothing."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import Row, text

from tasks.store.board_rows import Choices, JobFilter, JobLine, JobPage, LaneRow, Night, StateCount, Stretch
from tasks.store.measured import MEASURED
from tasks.store.session import Database, explained
from tasks.store.workerrows import WORKER_SILENCE_SECONDS
from tasks.types import Acceptance, JobState, Lane

# A list says how many jobs match, up to so many; above them nobody counts.
COUNTED = 10_000
# Names offered to filter by.
MOST_NAMES = 200
# A call that has said nothing for this long is of a worker that died.
IN_FLIGHT_SECONDS = 20

_STATES = text("""
SELECT state, count(*) AS jobs,
       count(*) FILTER (WHERE coalesce(finished_at, paused_at, started_at, submitted_at) >= :since) AS lately
FROM jobs GROUP BY state
""")

_SPENT = text("""
SELECT coalesce(sum(spent_usd), 0) AS usd, coalesce(sum(local_tokens + cloud_tokens), 0)::bigint AS tokens,
       clock_timestamp() AS now
FROM jobs WHERE coalesce(finished_at, clock_timestamp()) >= :since
""")

_LANES = text("""
SELECT lane, count(*) FILTER (WHERE worker IS NOT NULL) AS at_work,
       count(*) FILTER (WHERE worker IS NULL AND run_at <= now()) AS waiting,
       count(*) FILTER (WHERE worker IS NULL AND run_at > now()) AS later
FROM leases WHERE runnable OR worker IS NOT NULL GROUP BY lane
""")

_WORKERS = text(f"""
SELECT lanes, slots FROM workers WHERE seen_at > now() - make_interval(secs => {WORKER_SILENCE_SECONDS})
""")  # noqa: S608 - its one part is a constant

_IN_FLIGHT = text(f"""
SELECT count(*) AS calls,
       coalesce(sum(received_tokens / greatest(extract(epoch FROM seen_at - begun_at), 1)), 0)::float AS rate
FROM reservations WHERE seen_at > now() - make_interval(secs => {IN_FLIGHT_SECONDS})
""")  # noqa: S608 - its one part is a constant

# By when they ended: what has ended changes no more, and two narrow indexes hold all of it.
_CALLS_ENDED = text("""
SELECT date_bin(make_interval(secs => :width), created_at, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS began,
       count(*) AS calls, sum(completion_tokens)::bigint AS tokens, sum(usd) AS usd, sum(seconds)::float AS seconds
FROM calls WHERE created_at >= :since GROUP BY 1
""")
_CHECKS_ENDED = text("""
SELECT date_bin(make_interval(secs => :width), created_at, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS began,
       count(*) AS checks, sum(seconds)::float AS seconds
FROM verdicts WHERE created_at >= :since AND kind <> 'judge' GROUP BY 1
""")

_LINE = f"""
SELECT j.id, j.title, j.state, j.reason, j.acceptance, j.strategy, j.owner, j.tags, l.lane, j.model, j.iterations,
       j.budget_iterations, j.score, j.value, {MEASURED} AS measured, j.local_tokens + j.cloud_tokens AS tokens,
       j.budget_tokens, j.spent_usd, j.submitted_at, j.started_at, j.finished_at, l.worker, l.phase,
       l.live_tokens, l.progress_at, l.run_at, l.waiting_since, l.context_above,
       j.cancel_requested_at IS NOT NULL AS cancel_requested,
       j.pause_requested_at IS NOT NULL AS pause_requested, clock_timestamp() AS now,
       EXISTS (SELECT 1 FROM workers w WHERE l.lane = ANY(w.lanes) AND (j.model = '' OR j.model = ANY(w.models))
               AND w.seen_at > now() - make_interval(secs => {WORKER_SILENCE_SECONDS})) AS served,
       CASE WHEN l.worker IS NULL AND l.run_at > now() THEN (
            SELECT e.detail FROM events e WHERE e.job_id = j.id AND e.kind = 'fault' ORDER BY e.id DESC LIMIT 1)
       END AS fault
FROM jobs j JOIN leases l ON l.job_id = j.id
"""  # noqa: S608 - its one part is a constant

_MATCHES = """
(CAST(:state AS text) IS NULL OR j.state = :state) AND (:tag = '' OR j.tags @> ARRAY[:tag])
AND (:owner = '' OR j.owner = :owner) AND (:strategy = '' OR j.strategy = :strategy)
AND (:text = '' OR j.id = :number OR j.title ILIKE :pattern ESCAPE '!' OR :text = ANY(j.tags))
"""

_FIRST = text("SELECT submitted_at FROM jobs ORDER BY id LIMIT 1")
_AT_WORK = text(_LINE + "WHERE j.state = 'running' AND l.worker IS NOT NULL ORDER BY j.id LIMIT :limit")
_WAITING = text(
    _LINE
    + """WHERE j.state IN ('queued', 'running', 'paused', 'needs_input') AND l.worker IS NULL
         ORDER BY j.state = 'paused', j.state <> 'needs_input', l.queue_rank, j.id LIMIT :limit"""
)
_ENDED = text(
    _LINE + "WHERE j.finished_at >= :since ORDER BY j.finished_at DESC LIMIT :limit",
)

# Counters that move with whatever the overview shows.
_VERSION = text("""
SELECT (SELECT concat_ws('.', count(*), max(finished_at), sum(iterations), sum(local_tokens), sum(spent_usd),
                         count(*) FILTER (WHERE state IN ('paused', 'needs_input')), count(cancel_requested_at),
                         count(pause_requested_at))
        FROM jobs) || '/' ||
       (SELECT concat_ws('.', sum(epoch), sum(live_tokens), count(worker), max(run_at), md5(string_agg(phase, ',')
                         FILTER (WHERE worker IS NOT NULL))) FROM leases) || '/' ||
       (SELECT concat_ws('.', count(*), sum(received_tokens)) FROM reservations) || '/' ||
       (SELECT concat_ws('.', count(*), sum(slots)) FROM workers
        WHERE seen_at > now() - make_interval(secs => 20)) AS version
""")


def night(database: Database, since: datetime) -> Night:
    """The login's jobs since a moment, and what goes on now. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        counts = {row.state: row for row in connection.execute(_STATES, {"since": since})}
        spent = connection.execute(_SPENT, {"since": since}).one()
        by_lane = {row.lane: row for row in connection.execute(_LANES)}
        workers = connection.execute(_WORKERS).all()
        flight = connection.execute(_IN_FLIGHT).one()
    return Night(
        now=spent.now,
        since=since,
        states=tuple(
            StateCount(state=state, jobs=counts[state].jobs, lately=counts[state].lately)
            if state in counts
            else StateCount(state=state, jobs=0, lately=0)
            for state in JobState
        ),
        lanes=tuple(_lane(lane, by_lane.get(lane), workers) for lane in Lane),
        usd=spent.usd,
        tokens=spent.tokens,
        slots=sum(worker.slots for worker in workers),
        calls_in_flight=flight.calls,
        tokens_per_second=flight.rate,
    )


def first_submission(database: Database) -> datetime | None:
    """When the oldest of the login's jobs was submitted; None where there is none. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        return cast("datetime | None", connection.execute(_FIRST).scalar_one_or_none())


def lanes(database: Database) -> tuple[LaneRow, ...]:
    """Each lane now. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        rows = {row.lane: row for row in connection.execute(_LANES)}
        workers = connection.execute(_WORKERS).all()
    return tuple(_lane(lane, rows.get(lane), workers) for lane in Lane)


def ended_work(database: Database, since: datetime, *, seconds: int) -> tuple[Stretch, ...]:
    """What ended in each stretch of so many `seconds`, counted from 1970, that begins at `since` or later; empty ones
    are left out. Raises `DatabaseUnavailable`."""
    values = {"since": since, "width": seconds}
    with database.connect() as connection, explained():
        calls = {row.began: row for row in connection.execute(_CALLS_ENDED, values)}
        checks = {row.began: row for row in connection.execute(_CHECKS_ENDED, values)}
    return tuple(_stretch(began, calls.get(began), checks.get(began)) for began in sorted(calls.keys() | checks.keys()))


def at_work(database: Database, limit: int) -> tuple[JobLine, ...]:
    """Jobs that a worker holds now, the oldest first. Raises `DatabaseUnavailable`."""
    return _lines(database, _AT_WORK, limit=limit)


def waiting(database: Database, limit: int) -> tuple[JobLine, ...]:
    """Unfinished jobs that no worker holds, the next first, paused ones last. Raises `DatabaseUnavailable`."""
    return _lines(database, _WAITING, limit=limit)


def ended(database: Database, since: datetime, limit: int) -> tuple[JobLine, ...]:
    """Jobs that ended since a moment, the last first. Raises `DatabaseUnavailable`."""
    return _lines(database, _ENDED, since=since, limit=limit)


def find(database: Database, wanted: JobFilter, *, before: int | None, limit: int) -> JobPage:
    """The newest jobs that match, with numbers below `before`. Raises `DatabaseUnavailable`."""
    values = _values(wanted)
    page = text(
        f"{_LINE} WHERE {_MATCHES} AND (CAST(:before AS bigint) IS NULL OR j.id < :before)"
        " ORDER BY j.id DESC LIMIT :limit"
    )
    total = text(f"SELECT count(*) FROM (SELECT 1 FROM jobs j WHERE {_MATCHES} LIMIT {COUNTED}) matching")  # noqa: S608
    with database.connect() as connection, explained():
        rows = connection.execute(page, {**values, "before": before, "limit": limit + 1}).all()
        matching = connection.execute(total, values).scalar_one()
    return JobPage(jobs=tuple(map(_line, rows[:limit])), more=len(rows) > limit, total=matching)


def chosen(database: Database, jobs: tuple[int, ...]) -> tuple[JobLine, ...]:
    """Those of `jobs` that the login may see, in that order. Raises `DatabaseUnavailable`."""
    lines = {line.job: line for line in _lines(database, text(_LINE + "WHERE j.id = ANY(:jobs)"), jobs=list(jobs))}
    return tuple(lines[job] for job in jobs if job in lines)


def choices(database: Database) -> Choices:
    """What to filter by. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        strategies = connection.execute(text("SELECT DISTINCT strategy FROM jobs ORDER BY 1 LIMIT :most"), _MOST)
        owners = connection.execute(text("SELECT DISTINCT owner FROM jobs ORDER BY 1 LIMIT :most"), _MOST)
        tags = connection.execute(text("SELECT DISTINCT unnest(tags) FROM jobs ORDER BY 1 LIMIT :most"), _MOST)
        return Choices(
            strategies=tuple(strategies.scalars()), owners=tuple(owners.scalars()), tags=tuple(tags.scalars())
        )


def version(database: Database) -> str:
    """Another text whenever something that the overview or a list shows has changed. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        return str(connection.execute(_VERSION).scalar_one())


_MOST = {"most": MOST_NAMES}


def _lines(database: Database, query: Any, **values: object) -> tuple[JobLine, ...]:
    with database.connect() as connection, explained():
        return tuple(map(_line, connection.execute(query, values)))


def _values(wanted: JobFilter) -> dict[str, object]:
    escaped = wanted.text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    number = int(wanted.text) if wanted.text.isdecimal() and len(wanted.text) < 19 else None
    return {
        "state": None if wanted.state is None else str(wanted.state),
        "tag": wanted.tag,
        "owner": wanted.owner,
        "strategy": wanted.strategy,
        "text": wanted.text,
        "number": number,
        "pattern": f"%{escaped}%",
    }


def _lane(lane: Lane, row: Row[Any] | None, workers: Any) -> LaneRow:
    return LaneRow(
        lane=str(lane),
        workers=sum(lane in worker.lanes for worker in workers),
        at_work=row.at_work if row else 0,
        waiting=row.waiting if row else 0,
        later=row.later if row else 0,
    )


def _stretch(began: datetime, calls: Row[Any] | None, checks: Row[Any] | None) -> Stretch:
    return Stretch(
        began=began,
        tokens=calls.tokens if calls else 0,
        usd=calls.usd if calls else Decimal(0),
        calls=calls.calls if calls else 0,
        call_seconds=calls.seconds if calls else 0.0,
        checks=checks.checks if checks else 0,
        check_seconds=checks.seconds if checks else 0.0,
    )


def _line(row: Row[Any]) -> JobLine:
    return JobLine(
        job=row.id,
        title=row.title,
        state=JobState(row.state),
        reason=row.reason,
        acceptance=Acceptance(row.acceptance) if row.acceptance else None,
        strategy=row.strategy,
        owner=row.owner,
        tags=tuple(row.tags),
        lane=row.lane,
        model=row.model,
        iterations=row.iterations,
        most_iterations=row.budget_iterations,
        score=row.score,
        value=row.value,
        measured=row.measured,
        tokens=row.tokens,
        most_tokens=row.budget_tokens,
        usd=row.spent_usd,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        worker=row.worker,
        phase=row.phase,
        live_tokens=row.live_tokens,
        progress_at=row.progress_at,
        run_at=row.run_at,
        waiting_since=row.waiting_since,
        served=row.served,
        context_above=row.context_above,
        cancel_requested=row.cancel_requested,
        pause_requested=row.pause_requested,
        now=row.now,
        fault=row.fault or "",
    )
