"""The outbox: side effects written in the transaction that causes them, carried out afterwards at least once.

Must not know what the effects are; whoever receives one must bear it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from tasks.crashpoints import CrashPoint, passing
from tasks.errors import NotDelivered
from tasks.store.session import Database

# Carries one row's payload out; what it writes on the connection is committed with the delivery, or not at all.
Handler = Callable[[Connection, Mapping[str, Any]], None]
# Hears of a row (id, job_id, topic, attempts) that is given up, why, and whether its receiver never wants another, in
# the transaction that gives it up.
OnGivenUp = Callable[[Connection, Row[Any], str, bool], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often a row is tried: pauses of `first_seconds`, twice that, four times that …, at most `longest_seconds`,
    each longer by up to a share of `spread`, by chance; given up after so many `tries`, never where that is None."""

    first_seconds: float = 1.0
    longest_seconds: float = 600.0
    spread: float = 0.0
    tries: int | None = None


# Whoever is away may be away for a night.
FOR_EVER = Patience()

_DUE = text("""SELECT id, job_id, topic, payload, attempts + 1 AS attempts FROM outbox
               WHERE delivered_at IS NULL AND given_up_at IS NULL AND deliver_at <= now() AND topic = ANY(:topics)
               ORDER BY deliver_at, id LIMIT 1 FOR UPDATE SKIP LOCKED""")
_DELIVERED = text("UPDATE outbox SET delivered_at = now(), attempts = attempts + 1, last_error = '' WHERE id = :row")
_FAILED = text("""UPDATE outbox SET attempts = attempts + 1, last_error = :error,
                  given_up_at = CASE WHEN :final OR attempts + 1 >= CAST(:tries AS integer) THEN now() END,
                  deliver_at = clock_timestamp() + make_interval(secs => greatest(:at_least,
                      least(:longest, :first * 2 ^ least(attempts, 20)) * (1 + :spread * random())))
                  WHERE id = :row RETURNING given_up_at IS NOT NULL""")


class Outbox:
    """Parameters: the `database` (a worker's login), a handler for each topic it carries, their `patience`, and who
    hears of what is given up. Any number may run."""

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, Handler],
        *,
        patience: Patience = FOR_EVER,
        on_given_up: OnGivenUp = lambda connection, row, why, final: None,
    ) -> None:
        self._database, self._handlers = database, handlers
        self._patience, self._on_given_up = patience, on_given_up

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
                return self._fail(connection, row, error)
            passing(CrashPoint.DELIVERED)
            connection.execute(_DELIVERED, {"row": row.id})
            return ""

    def _fail(self, connection: Connection, row: Row[Any], error: Exception) -> str:
        final, at_least, why = False, 0.0, f"{type(error).__name__}: {error}"
        if isinstance(error, NotDelivered):
            final, at_least, why = error.final, error.seconds, str(error)
        why = why[:1000]
        values = {
            "row": row.id,
            "error": why,
            "final": final,
            "at_least": at_least,
            "tries": self._patience.tries,
            "first": self._patience.first_seconds,
            "longest": self._patience.longest_seconds,
            "spread": self._patience.spread,
        }
        if connection.execute(_FAILED, values).scalar_one():
            self._on_given_up(connection, row, why, final)
        return why
