"""Notifications of Postgres, over a connection of their own: a caller waits for one without knowing the driver."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from tasks.errors import DatabaseUnavailable
from tasks.store.address import conninfo
from tasks.store.pooler import refuse_pooler


class Notifications:
    """Those of the channels that `listening` names."""

    def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        self._connection = connection

    def wait(self, seconds: float) -> bool:
        """Whether one came within `seconds`. Raises `DatabaseUnavailable`."""
        with _explained():
            return any(self._connection.notifies(timeout=seconds, stop_after=1))

    def clear(self) -> None:
        """Forgets those that have come by now. Raises `DatabaseUnavailable`."""
        with _explained():
            list(self._connection.notifies(timeout=0))


@contextlib.contextmanager
def listening(url: str, *channels: str, name: str) -> Iterator[Notifications]:
    """Listens until the end of the block; `name` is the connection's in pg_stat_activity. Raises
    `DatabaseUnavailable`, also where the connection is lost meanwhile, and `InvalidInput` where a pooler answers."""
    with _explained():
        connection = psycopg.connect(
            conninfo(url),
            autocommit=True,
            application_name=name,
            connect_timeout=3,
        )
    with contextlib.closing(connection):
        with _explained():
            refuse_pooler(connection, "the relay")
            for channel in channels:
                connection.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(channel)))
        yield Notifications(connection)


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        why = str(error).strip().split("\n", 1)[0] or type(error).__name__
        raise DatabaseUnavailable(f"Postgres did not answer: {why}") from error
