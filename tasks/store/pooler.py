"""Connection poolers such as pgbouncer, told by the one thing that they can't hide: the process that a pooler names to
its client is not the one that answers. Knows the driver, and not SQLAlchemy.

Where a pooler hands its connections out by the transaction, nothing that a session keeps survives: no LISTEN, no limit
of a connection's statements, no advisory lock, no prepared statement. What people run needs none of these; workers, the
relay and migrations do.
"""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg

from tasks.errors import InvalidInput
from tasks.store.address import parameters

_SERVER = """SELECT pg_backend_pid() AS pid, coalesce(host(inet_server_addr()), 'localhost') AS host,
                    current_setting('port') AS port"""


def is_pooled(connection: psycopg.Connection[Any]) -> bool:
    """Whether a pooler stands between us and Postgres. Raises `psycopg.Error`."""
    return _server(connection)[0] != connection.info.backend_pid


def refuse_pooler(connection: psycopg.Connection[Any], what: str) -> None:
    """Raises `InvalidInput` where a pooler answers; `what` would have used it."""
    pid, host, port = _server(connection)
    if pid != connection.info.backend_pid:
        allowed = f"{what} must connect to Postgres itself, which says that it is at {host}:{port}"
        raise InvalidInput("database URL", "a connection pooler", allowed)


def refuse_pooler_at(url: str, what: str) -> None:
    """The same of an address as `address` has it. Where nobody answers, nothing is refused."""
    with (
        contextlib.suppress(psycopg.OperationalError),
        psycopg.connect(**parameters(url, "redraft pooler check"), autocommit=True) as connection,
    ):
        refuse_pooler(connection, what)


def _server(connection: psycopg.Connection[Any]) -> tuple[int, str, str]:
    """The process that answers, and where its Postgres listens."""
    with connection.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        pid, host, port = cursor.execute(_SERVER).fetchone() or (0, "", "")
    return pid, host, port
