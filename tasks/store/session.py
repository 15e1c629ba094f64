"""Connections and transactions. Turns the driver's faults into ours, at this one place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tasks.errors import DatabaseUnavailable, InvalidInput
from tasks.store import faults
from tasks.store.address import parameters

# A worker's statement waits no longer for a row: other workers lock one for milliseconds, and whoever holds one open in
# a transaction of their own must not keep a slot from other owners' jobs. Far less than a lease.
WORKER_LOCK_SECONDS = 4.0


class Database:
    """A pool of connections to one database. Safe to share between threads, not between processes.

    Parameters: `url` as `address` has it, `name` shown by pg_stat_activity, `pool` connections kept,
    `lock_seconds` a statement waits for a lock at most (0: the login's own setting). With such a limit it is a
    worker's, and connects to Postgres itself; without one nothing is prepared, and a pooler by the transaction will do.
    """

    def __init__(self, url: str, *, name: str = "redraft", pool: int = 5, lock_seconds: float = 0.0) -> None:
        given = parameters(url, name)
        if not lock_seconds:
            given["prepare_threshold"] = None
        else:
            given["options"] = f"{given.get('options', '')} -c lock_timeout={int(lock_seconds * 1000)}".strip()
        self.engine: Engine = create_engine(
            "postgresql+psycopg://",  # the rest is libpq's to read, as it was written
            pool_size=pool,
            max_overflow=32,
            pool_pre_ping=True,
            connect_args=given,
        )

    @contextlib.contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection, closed at the end. Raises `DatabaseUnavailable` where Postgres cannot be reached."""
        with _faults(), self.engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def begin(self) -> Iterator[Connection]:
        """A transaction, committed at the end and rolled back on any error. Raises `DatabaseUnavailable`."""
        with _faults(), self.engine.begin() as connection:
            yield connection

    def close(self) -> None:
        """Closes every pooled connection."""
        self.engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Says what to do where the schema is missing, a login lacks its role, or a row breaks a limit of the schema's. The
    rest goes on as it is."""
    try:
        yield
    except IntegrityError as error:
        if not isinstance(error.orig, psycopg.errors.CheckViolation):
            raise
        limit = error.orig.diag.constraint_name
        raise InvalidInput("job", limit, "the database has that limit, and the job's row would break it") from error
    except ProgrammingError as error:
        explanation = faults.explain(error.orig)
        if explanation is None:
            raise
        raise explanation from error


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise faults.unreachable(error.orig) from error
    except PoolTimeout as error:
        raise DatabaseUnavailable("no connection to Postgres became free in time") from error
