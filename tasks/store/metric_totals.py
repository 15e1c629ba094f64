"""Keeps the totals of counters: what happened is added once it is old enough that nothing more can come before it, so
that a counter is read from a few rows and the last minutes, and no deletion of jobs lowers it."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import structlog
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from tasks.errors import DatabaseUnavailable
from tasks.store.session import WORKER_LOCK_SECONDS, Database
from tasks.taskrecords import NO_RECORD, TaskRecord

log = structlog.get_logger()

# A row has the moment at which its transaction began, and is seen when it ends: in much less than this.
SETTLED_SECONDS = 600.0
COUNT_SECONDS = 60.0

# The row that says how far was counted is the lock: of two relays the second waits, and finds it done.
_LOCK = text("""
INSERT INTO metric_totals AS m (name, labels, value) VALUES ('counted_until', '{}', 0)
ON CONFLICT (name, labels) DO UPDATE SET value = m.value RETURNING value
""")
_COUNT = text("""
INSERT INTO metric_totals AS m (name, labels, value)
SELECT name, labels, value FROM redraft_counted(to_timestamp(:since), to_timestamp(:until)) ORDER BY name, labels
ON CONFLICT (name, labels) DO UPDATE SET value = m.value + EXCLUDED.value
""")
_UNTIL = text("SELECT floor(extract(epoch FROM now()) - :settled)::float")
_MOVE = text("UPDATE metric_totals SET value = :until WHERE name = 'counted_until'")
_ADD = text("""
INSERT INTO metric_totals AS m (name, labels, value) VALUES (:name, :labels, :value)
ON CONFLICT (name, labels) DO UPDATE SET value = m.value + EXCLUDED.value
""").bindparams(bindparam("labels", type_=JSONB))


def count(database: Database, settled_seconds: float = SETTLED_SECONDS) -> None:
    """Adds what happened until `settled_seconds` ago and was not added yet. Needs a worker's login. Raises
    `DatabaseUnavailable`."""
    with database.begin() as connection:
        since = connection.execute(_LOCK).scalar_one()
        until = connection.execute(_UNTIL, {"settled": settled_seconds}).scalar_one()
        if until > since:
            connection.execute(_COUNT, {"since": since, "until": until})
            connection.execute(_MOVE, {"until": until})


def add(connection: Connection, name: str, labels: Mapping[str, str], value: float) -> None:
    """Adds to a counter of what no row tells."""
    connection.execute(_ADD, {"name": name, "labels": dict(labels), "value": value})


class MetricTotals:
    """Counts in a background task. Parameters: `url` of the database (a worker's login)."""

    def __init__(self, url: str, record: TaskRecord = NO_RECORD) -> None:
        self._url, self._record = url, record

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        with Database(self._url, name="redraft metrics", pool=1, lock_seconds=WORKER_LOCK_SECONDS) as database:
            while not stop.is_set():
                try:
                    count(database)
                    self._record.succeeded()
                except DatabaseUnavailable as error:
                    self._record.failed()
                    log.warning("the totals of metrics wait for Postgres", why=str(error).split("\n")[0])
                stop.wait(COUNT_SECONDS)
