"""Connections and transactions. Turns the driver's faults into ours, at this one place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tasks.errors import DatabaseUnavailable, InvalidInput

# A connection that hangs is worse than one that fails: the lease of the job it writes for runs out meanwhile.
CONNECT_SECONDS = 5
# Half-open connections (a pulled cable, a paused server) are given up by the kernel after about this long.
TCP_TIMEOUT_MS = 10_000
# A worker's statement waits no longer for a row: other workers lock one for milliseconds, and whoever holds one open in
# a transaction of their own must not keep a slot from other owners' jobs. Far less than a lease.
WORKER_LOCK_SECONDS = 4.0


class Database:
    """A pool of connections to one database. Safe to share between threads, not between processes.

    Parameters: `url` (postgresql+psycopg://…), `name` shown by pg_stat_activity, `pool` connections kept,
    `lock_seconds` a statement waits for a lock at most (0: the login's own setting).
    """

    def __init__(self, url: str, *, name: str = "redraft", pool: int = 5, lock_seconds: float = 0.0) -> None:
        limits = {"options": f"-c lock_timeout={int(lock_seconds * 1000)}"} if lock_seconds else {}
        self.engine: Engine = create_engine(
            url,
            pool_size=pool,
            max_overflow=32,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": CONNECT_SECONDS,
                "tcp_user_timeout": TCP_TIMEOUT_MS,
                "keepalives_idle": 5,
                "keepalives_interval": 2,
                "keepalives_count": 3,
                "application_name": name,
                **limits,
            },
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
        match getattr(error.orig, "sqlstate", None):
            case "42P01" | "42883" | "42703" | "3F000":
                raise DatabaseUnavailable(
                    "the database has no schema of this release; run `redraft db upgrade`"
                ) from error
            case "42501":
                why = str(error.orig).split("\n", 1)[0]
                raise DatabaseUnavailable(f"{why}: the login needs the role redraft_submitter") from error
            case _:
                raise


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise DatabaseUnavailable(f"Postgres did not answer: {_first_line(error)}") from error
    except PoolTimeout as error:
        raise DatabaseUnavailable("no connection to Postgres became free in time") from error


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if error.orig and str(error.orig).strip() else type(error).__name__
