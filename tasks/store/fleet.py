"""Who works now: what the workers say of themselves in the table `workers`."""

from __future__ import annotations

from sqlalchemy import Connection, text

from tasks.store.session import Database, explained
from tasks.store.workerrows import WORKER_SILENCE_SECONDS, WORKERS, WorkerRow, worker_row
from tasks.types import Lane


def served(connection: Connection, lane: Lane) -> bool:
    """Whether a live worker serves `lane` now."""
    exists = connection.execute(
        text("""SELECT EXISTS (SELECT 1 FROM workers WHERE :lane = ANY(lanes)
                               AND seen_at > now() - make_interval(secs => :silence))"""),
        {"lane": str(lane), "silence": WORKER_SILENCE_SECONDS},
    ).scalar_one()
    return bool(exists)


def live_workers(database: Database) -> tuple[WorkerRow, ...]:
    """Every worker that has presented itself and not deregistered. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        return tuple(worker_row(row) for row in connection.execute(text(WORKERS)))


def relay_connected(database: Database) -> bool:
    """Whether a relay is connected to Postgres. Raises `DatabaseUnavailable`."""
    query = text("SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'redraft relay')")
    with database.connect() as connection, explained():
        return bool(connection.execute(query).scalar_one())
