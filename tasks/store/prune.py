"""Deletes what ended long ago, in batches: each is handed to a keeper first, and deleted only once that has it.

Must not know where the rows are kept. What the limits of today and of the last hours rest on (`owner_usage`,
`batches`) is in tables of its own and stays.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, text

from tasks.errors import InvalidInput, PruneRefused
from tasks.store.leases import FINAL
from tasks.store.session import Database, explained

# A job of a long run has some thousand calls: a batch is a few hundred megabytes at most, and a transaction of seconds.
BATCH_JOBS = 50
# Owners are served by what they used in the last 24 hours, and limits of a day begin at midnight.
LEAST_AGE = "1 day"
# Rows that others refer to go after those.
_FIRST = ("verdicts", "candidates", "iterations")

# Takes the rows of one batch, a JSON object each, and returns once they are safe. Raises `PruneRefused` otherwise.
Keeper = Callable[[Sequence[int], Iterator[str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prunable:
    """What would go: how many `jobs`, the `rows` of each table, and the spend that `cost` would no longer show.
    `kept` ended as long ago and stay, by why."""

    jobs: int
    rows: Mapping[str, int]
    usd: Decimal
    local_tokens: int
    cloud_tokens: int
    kept: Mapping[str, int]


# Why a job that ended before the moment stays. Each is a condition on `jobs j`.
_KEPT = {
    "work on it goes on": """j.lesson_due
        OR EXISTS (SELECT FROM leases l WHERE l.job_id = j.id AND l.worker IS NOT NULL)
        OR EXISTS (SELECT FROM reservations r WHERE r.job_id = j.id)
        OR EXISTS (SELECT FROM outbox o WHERE o.job_id = j.id AND o.delivered_at IS NULL)
        OR EXISTS (SELECT FROM calls c WHERE c.job_id = j.id AND c.created_at >= :before)""",
    "a request to the cloud is not settled": """EXISTS (SELECT FROM escalations e WHERE e.job_id = j.id
        AND (e.finished_at IS NULL OR e.state = 'unknown'))""",
    "others of its batch have not ended": f"""j.batch_id IS NOT NULL AND EXISTS (SELECT FROM jobs b
        WHERE b.owner = j.owner AND b.batch_id = j.batch_id AND b.state NOT IN ({FINAL}))""",
    "its lesson is in use": """NOT :lessons AND EXISTS (SELECT FROM lessons m WHERE m.job_id = j.id
        AND m.quarantined_at IS NULL)""",
}
_ENDED = f"FROM jobs j WHERE j.state IN ({FINAL}) AND j.finished_at < :before"
_GOES = f"{_ENDED} AND NOT ({' OR '.join(f'({condition})' for condition in _KEPT.values())})"


def prunable(database: Database, before: datetime, *, lessons: bool = False) -> Prunable:
    """What `prune` would delete. Raises `InvalidInput` where `before` is not a day ago, `DatabaseUnavailable`."""
    values = {"before": before, "lessons": lessons}
    with database.connect() as connection, explained():
        _require_age(connection, before)
        kept: dict[str, int] = {}
        for why, condition in _KEPT.items():
            kept[why] = connection.execute(text(f"SELECT count(*) {_ENDED} AND ({condition})"), values).scalar_one()
        sums = connection.execute(
            text(f"""SELECT count(*) AS jobs, coalesce(sum(spent_usd), 0) AS usd, coalesce(sum(local_tokens), 0) AS own,
                     coalesce(sum(cloud_tokens), 0) AS cloud {_GOES}"""),
            values,
        ).one()
        rows = {
            table: connection.execute(
                text(f"SELECT count(*) FROM {table} WHERE {_key(table)} IN (SELECT j.id {_GOES})"),  # noqa: S608
                values,
            ).scalar_one()
            for table in _tables(connection)
        }
    return Prunable(
        jobs=sums.jobs,
        rows={table: count for table, count in rows.items() if count},
        usd=sums.usd,
        local_tokens=int(sums.own),
        cloud_tokens=int(sums.cloud),
        kept={why: count for why, count in kept.items() if count},
    )


def prune(
    database: Database,
    before: datetime,
    keep: Keeper,
    *,
    lessons: bool = False,
    most: int = BATCH_JOBS,
    progress: Callable[[int], None] = lambda jobs: None,
) -> int:
    """Deletes jobs that ended before a moment with all their rows, a batch of at most `most` at a time; counts them.

    A batch is locked, handed to `keep`, and deleted in the transaction in which it was read, if each table loses as
    many rows as were handed on. Jobs that somebody holds are passed over. `lessons` takes jobs with lessons that are in
    use, too. Raises what `keep` raises, `PruneRefused`, `InvalidInput` where `before` is not a day ago, and
    `DatabaseUnavailable`; batches before that are deleted and kept.
    """
    deleted = 0
    while True:
        with database.begin() as connection, explained():
            _require_age(connection, before)
            jobs = _locked(connection, before, lessons, most)
            if not jobs:
                return deleted
            tables = _tables(connection)
            counts = dict.fromkeys(tables, 0)
            with contextlib.closing(_rows(connection, tables, jobs, counts)) as rows:
                keep(jobs, rows)
            for table in tables:
                gone = connection.execute(
                    text(f"DELETE FROM {table} WHERE {_key(table)} = ANY(:jobs)"),  # noqa: S608
                    {"jobs": list(jobs)},
                ).rowcount
                if gone != counts[table]:
                    raise PruneRefused(f"{table} has {gone} rows of these jobs, and {counts[table]} were exported")
        deleted += len(jobs)
        progress(deleted)


def _locked(connection: Connection, before: datetime, lessons: bool, most: int) -> Sequence[int]:
    """The next jobs, the oldest first: their leases are locked first, as whoever writes for a job does it."""
    values = {"before": before, "lessons": lessons, "most": most}
    found = connection.execute(
        text(f"""SELECT job_id FROM leases WHERE job_id IN (SELECT j.id {_GOES} ORDER BY j.id LIMIT :most)
                 ORDER BY job_id FOR UPDATE SKIP LOCKED"""),  # noqa: S608
        values,
    ).scalars()
    jobs = list(found)
    return (
        connection.execute(
            text(f"SELECT j.id {_GOES} AND j.id = ANY(:jobs) ORDER BY j.id FOR UPDATE SKIP LOCKED"),
            {**values, "jobs": jobs},
        )
        .scalars()
        .all()
    )


def _rows(connection: Connection, tables: Sequence[str], jobs: Sequence[int], counts: dict[str, int]) -> Generator[str]:
    """Every row of these jobs as `{"table": …, "row": …}`, counted by table; a cursor holds a part of them."""
    for table in reversed(tables):
        query = text(f"SELECT row_to_json(t)::text FROM {table} t WHERE {_key(table)} = ANY(:jobs)")  # noqa: S608
        with connection.execute(query, {"jobs": list(jobs)}, execution_options={"yield_per": 200}) as found:
            for row in found.scalars():
                counts[table] += 1
                yield f'{{"table": {json.dumps(table)}, "row": {row}}}'


def _tables(connection: Connection) -> Sequence[str]:
    """Every table with rows of jobs, those first that must be emptied first."""
    names = connection.execute(
        text("""SELECT c.table_name FROM information_schema.columns c JOIN information_schema.tables t
                USING (table_schema, table_name) WHERE t.table_schema = 'public' AND t.table_type = 'BASE TABLE'
                AND c.column_name = 'job_id' ORDER BY 1""")
    ).scalars()
    others = [name for name in names if name not in _FIRST]
    return (*_FIRST, *others, "jobs")


def _key(table: str) -> str:
    return "id" if table == "jobs" else "job_id"


def _require_age(connection: Connection, before: datetime) -> None:
    late = connection.execute(
        text(f"SELECT now() - interval '{LEAST_AGE}' WHERE :before > now() - interval '{LEAST_AGE}'"),
        {"before": before},
    ).scalar()
    if late is not None:
        allowed = "a moment at least a day ago: what the last 24 hours used decides who is served next"
        raise InvalidInput("--before", before.isoformat(timespec="seconds"), allowed)
