"""Hooks and their deliveries: whom the outbox tells of events, how far it has come, what was given up. A delivery of a
job's event is written by the transaction that changes the job's state (migration 0036). Must not know where a hook is
reached: addresses and secrets are the relay's settings, and are never stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from sqlalchemy import Connection, Row, text

from tasks.store import leases, metric_totals
from tasks.store.hookrows import HOOKS, HookRow, hook_row
from tasks.store.session import Database, explained
from tasks.types import HookEvent

log = structlog.get_logger()

# The outbox's topic of a hook is this and its name.
TOPIC = "hook "
# A counter, by hook.
GIVEN_UP = "redraft_hook_given_up_total"


def register(database: Database, hooks: Mapping[str, Sequence[HookEvent]]) -> None:
    """Makes these the hooks of the deployment, by name, each with the events that it wants. What waits for another is
    given up. Raises `DatabaseUnavailable`."""
    with database.begin() as connection, explained():
        connection.execute(text("DELETE FROM hooks WHERE name <> ALL(:names)"), {"names": list(hooks)})
        for name, events in hooks.items():
            connection.execute(
                text("""INSERT INTO hooks (name, events) VALUES (:name, :events)
                        ON CONFLICT (name) DO UPDATE SET events = EXCLUDED.events"""),
                {"name": name, "events": [str(event) for event in events]},
            )
            metric_totals.add(connection, GIVEN_UP, {"hook": name}, 0)  # one that is not there has no first increase
        connection.execute(
            text("""UPDATE outbox SET given_up_at = now(), last_error = 'the hook is no longer configured'
                    WHERE delivered_at IS NULL AND given_up_at IS NULL AND starts_with(topic, :topic)
                    AND topic <> ALL(:topics)"""),
            {"topic": TOPIC, "topics": [f"{TOPIC}{name}" for name in hooks]},
        )


def tell(connection: Connection, event: HookEvent, data: Mapping[str, Any]) -> None:
    """Writes a delivery of an event of no job to each hook that wants it."""
    connection.execute(
        text("SELECT redraft_tell(NULL, :event, CAST(:data AS jsonb))"), {"event": str(event), "data": json.dumps(data)}
    )


class HookDelivery:
    """The outbox's side of one hook. `tell` tells it of an event, a mapping as `redraft_tell` wrote it, and raises
    where that fails."""

    def __init__(self, name: str, tell: Callable[[Mapping[str, Any]], None]) -> None:
        self._name, self._tell = name, tell
        self.topic = f"{TOPIC}{name}"

    def deliver(self, connection: Connection, event: Mapping[str, Any]) -> None:
        """A handler of the outbox: tells the hook, and counts it in the transaction that marks it."""
        self._tell(event)
        connection.execute(
            text("UPDATE hooks SET delivered = delivered + 1, delivered_at = now() WHERE name = :name"),
            {"name": self._name},
        )

    def give_up(self, connection: Connection, row: Row[Any], why: str, final: bool) -> None:
        """Says in the job's events that nobody was told, and in the log. After a `final` refusal nothing is sent to the
        hook until somebody tries again."""
        log.error(
            "a hook could not be told, and is tried no more", hook=self._name, event_id=row.payload["id"], why=why
        )
        given_up = 1
        if final:
            connection.execute(text("UPDATE hooks SET gone_at = now() WHERE name = :name"), {"name": self._name})
            given_up += connection.execute(
                text("""UPDATE outbox SET given_up_at = now(), last_error = :why
                        WHERE topic = :topic AND delivered_at IS NULL AND given_up_at IS NULL"""),
                {"topic": self.topic, "why": why},
            ).rowcount
        metric_totals.add(connection, GIVEN_UP, {"hook": self._name}, given_up)
        if row.job_id is not None:
            connection.execute(text("SELECT 1 FROM leases WHERE job_id = :job FOR UPDATE"), {"job": row.job_id})
            tries = f"{row.attempts} {'try' if row.attempts == 1 else 'tries'}"
            leases.note(connection, row.job_id, "not told", f"{self._name}, after {tries}: {why}")


def retry(database: Database, hook: str | None = None) -> int:
    """Has what waits and what was given up be sent at once, of one hook or of all; how many. Those that are being sent
    now are left alone. Raises `DatabaseUnavailable`."""
    with database.begin() as connection, explained():
        connection.execute(text("UPDATE hooks SET gone_at = NULL WHERE name = coalesce(:hook, name)"), {"hook": hook})
        return connection.execute(
            text("""UPDATE outbox SET deliver_at = now(), given_up_at = NULL, attempts = 0 WHERE id IN (
                        SELECT o.id FROM outbox o JOIN hooks h ON o.topic = :topic || h.name
                        WHERE o.delivered_at IS NULL AND h.name = coalesce(:hook, h.name)
                        FOR UPDATE OF o SKIP LOCKED)"""),
            {"hook": hook, "topic": TOPIC},
        ).rowcount


def hook_rows(database: Database) -> tuple[HookRow, ...]:
    """Every hook that the relay has registered, by name. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        return tuple(hook_row(row) for row in connection.execute(text(HOOKS)))
