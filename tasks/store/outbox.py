"""The outbox: side effects written in the transaction that causes them, carried out afterwards at least once.

Must not know what the effects are; whoever receives one must bear it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, text

from tasks.crashpoints import CrashPoint, passing
from tasks.store.session import Database

# Carries one row's payload out; what it writes on the connection is committed with the delivery, or not at all.
Handler = Callable[[Connection, Mapping[str, Any]], None]

# After a failure: 1, 2, 4 … seconds, at most this many, for ever: whoever is away may be away for a night.
LONGEST_PAUSE_SECONDS = 600

_DUE = text("""SELECT id, topic, payload FROM outbox
               WHERE delivered_at IS NULL AND deliver_at <= now() AND topic = ANY(:topics)
               ORDER BY deliver_at, id LIMIT 1 FOR UPDATE SKIP LOCKED""")
_DELIVERED = text("UPDATE outbox SET delivered_at = now(), attempts = attempts + 1, last_error = '' WHERE id = :row")
_FAILED = text("""UPDATE outbox SET attempts = attempts + 1, last_error = :error,
                  deliver_at = now() + make_interval(secs => least(:longest, 2 ^ least(attempts, 20)))
                  WHERE id = :row""")


class Outbox:
    """Parameters: the `database` (a worker's login), and a handler for each topic it carries. Any number may run."""

    def __init__(self, database: Database, handlers: Mapping[str, Handler]) -> None:
        self._database, self._handlers = database, handlers

    def deliver(self) -> str | None:
        """Carries one due row: "" where it went well, why it did not, or None where nothing is due.

        The row stays locked meanwhile; where this process dies, another delivers it again. Raises
        `DatabaseUnavailable`.
        """
        with self._database.begin() as connection:
            row = connection.execute(_DUE, {"topics": list(self._handlers)}).one_or_none()
            if row is None:
                return None
            try:
                with connection.begin_nested():
                    self._handlers[row.topic](connection, row.payload)
            except Exception as error:  # noqa: BLE001 - a defect in one delivery must not hold up all others
                why = f"{type(error).__name__}: {error}"[:1000]
                connection.execute(_FAILED, {"row": row.id, "error": why, "longest": LONGEST_PAUSE_SECONDS})
                return why
            passing(CrashPoint.DELIVERED)
            connection.execute(_DELIVERED, {"row": row.id})
            return ""
