"""The log of events of jobs, as people read it. Row-level security decides whose. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import text

from tasks.store.session import Database, explained
from tasks.store.summaries import EventRow

# A statement's rows at most: a job of thousands of iterations is read in pieces.
PAGE = 1000

_EVENTS = text("""
SELECT e.id, e.job_id, e.at, e.kind, e.detail
FROM events e JOIN unnest(CAST(:jobs AS bigint[]), CAST(:after AS bigint[])) AS cursor(job, after)
     ON e.job_id = cursor.job AND e.id > cursor.after
ORDER BY e.id LIMIT :page
""")


def read_events(database: Database, after: Mapping[int, int]) -> tuple[EventRow, ...]:
    """The next events of each job whose numbers are larger than `after[job]`, at most `PAGE` of them, by number.

    Events of one job become visible in the order of their numbers, for whoever writes one holds the job's lease row.
    Raises `DatabaseUnavailable`.
    """
    cursors = {"jobs": list(after), "after": list(after.values()), "page": PAGE}
    with database.connect() as connection, explained():
        return tuple(
            EventRow(number=row.id, job=row.job_id, at=row.at, kind=row.kind, detail=row.detail)
            for row in connection.execute(_EVENTS, cursors)
        )
