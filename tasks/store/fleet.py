"""Who works now: what the workers say of themselves in the table `workers`."""

from __future__ import annotations

from sqlalchemy import Connection, text

from tasks.store.session import Database, explained
from tasks.store.summaries import WorkerRow
from tasks.types import Lane

# A worker says that it lives every few seconds; one not seen for this long is taken for dead.
WORKER_SILENCE_SECONDS = 10.0


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
    query = text("SELECT *, extract(epoch FROM now() - seen_at)::float AS silent_seconds FROM workers ORDER BY name")
    with database.connect() as connection, explained():
        return tuple(
            WorkerRow(
                name=row.name,
                host=row.host,
                pid=row.pid,
                lanes=tuple(row.lanes),
                slots=row.slots,
                model=row.model,
                modalities=tuple(row.modalities),
                models=tuple(row.models),
                silent_seconds=row.silent_seconds,
                live=row.silent_seconds < WORKER_SILENCE_SECONDS,
            )
            for row in connection.execute(query)
        )


def relay_connected(database: Database) -> bool:
    """Whether a relay is connected to Postgres. Raises `DatabaseUnavailable`."""
    query = text("SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'redraft relay')")
    with database.connect() as connection, explained():
        return bool(connection.execute(query).scalar_one())
