"""Waiting for Postgres's NOTIFY. A notice says only that a look is worth while: whoever misses one looks later, and so
does whoever a pooler keeps from hearing any."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection

import psycopg
from sqlalchemy.exc import DBAPIError

from tasks.store.pooler import is_pooled
from tasks.store.session import Database

# Sent with a job's number when it has ended.
DONE = "redraft_done"


class Notices:
    """A connection of its own that listens on `channel`, opened at the first wait and again after a loss."""

    def __init__(self, database: Database, channel: str) -> None:
        self._database, self._channel = database, channel
        self._connection: psycopg.Connection | None = None

    def wait(self, payloads: Collection[str], seconds: float) -> None:
        """Returns at the first notice whose payload is among `payloads`, after `seconds` at the latest.

        Raises nothing: where Postgres is away, the time passes.
        """
        until = time.monotonic() + seconds
        try:
            for notice in self._listening().notifies(timeout=seconds):
                if notice.payload in payloads:
                    return
        except (psycopg.Error, DBAPIError):
            self.close()
            time.sleep(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Gives the connection up."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _listening(self) -> psycopg.Connection:
        if self._connection is None:
            pooled = self._database.engine.raw_connection()
            connection = pooled.driver_connection
            assert isinstance(connection, psycopg.Connection)
            pooled.detach()  # a connection that listens must not go back into the pool
            self._connection = connection
            connection.autocommit = True
            if not is_pooled(connection):
                connection.execute(f"LISTEN {self._channel}")
        return self._connection
