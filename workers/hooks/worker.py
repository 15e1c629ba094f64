"""The background tasks that tell hooks, in the relay's process: one thread for each, so that one that is slow or away
holds up no other, and one that registers them and watches engines. Must not know how a hook is reached."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog

from tasks.errors import DatabaseUnavailable
from tasks.store.engine_watch import EngineWatch
from tasks.store.hooks import HookDelivery, register
from tasks.store.outbox import Patience
from tasks.store.session import Database
from tasks.taskrecords import NO_RECORD, TaskRecord
from tasks.types import HookEvent
from workers.background import Run
from workers.hooks.body import event_text
from workers.hooks.configured import Hook
from workers.outbox_worker import OutboxWorker

log = structlog.get_logger()

FIRST_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 7200.0
# Receivers that come back together are not all asked in one moment.
SPREAD = 0.2
LOOK_SECONDS = 5.0
AGAIN_SECONDS = 1.0


def patience_of(tries: int) -> Patience:
    """How a delivery is tried."""
    return Patience(
        first_seconds=FIRST_PAUSE_SECONDS, longest_seconds=LONGEST_PAUSE_SECONDS, spread=SPREAD, tries=tries
    )


def hook_task(url: str, hook: Hook, page: Callable[[], str], *, tries: int, record: TaskRecord = NO_RECORD) -> Run:
    """Tells `hook` of what the outbox has for it; `url` of the database, a worker's login."""

    def tell(event: Mapping[str, Any]) -> None:
        hook.send(event["id"], event_text(event, page()))
        log.info("a hook was told", hook=hook.name, type=event["type"], id=event["id"])

    delivery = HookDelivery(hook.name, tell)
    handlers = {delivery.topic: delivery.deliver}
    return OutboxWorker(url, handlers, record, patience=patience_of(tries), on_given_up=delivery.give_up).run


class HookRegistration:
    """Registers `hooks`, by name, with the `events` that they are told of, then watches engines, whose outages are told
    after `seconds`."""

    def __init__(
        self,
        url: str,
        hooks: Sequence[str],
        events: Sequence[HookEvent],
        *,
        seconds: float,
        record: TaskRecord = NO_RECORD,
    ) -> None:
        self._url, self._hooks, self._events, self._seconds = url, hooks, events, seconds
        self._record = record

    def run(self, stop: threading.Event) -> None:
        """Until `stop`. Where Postgres is away it looks again."""
        with Database(self._url, name="redraft hooks", pool=1) as database:
            watch, registered = EngineWatch(database, self._seconds), False
            while not stop.is_set():
                try:
                    if not registered:
                        register(database, dict.fromkeys(self._hooks, self._events))
                        registered = True
                    if self._hooks:
                        watch.look()
                    self._record.succeeded()
                except DatabaseUnavailable as error:
                    self._record.failed()
                    log.warning("hooks wait for Postgres", why=str(error).split("\n", maxsplit=1)[0])
                stop.wait(LOOK_SECONDS if registered else AGAIN_SECONDS)
