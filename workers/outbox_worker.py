"""Delivers the outbox in a background task beside the relay: a slow receiver stalls no wake-up. Must not know what is
delivered, but for the choice of a handler for each topic."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import structlog

from tasks.errors import DatabaseUnavailable
from tasks.ports import MemoryBank
from tasks.store.lesson_queries import REMOVE, IndexDelivery
from tasks.store.lesson_writes import UPSERT
from tasks.store.outbox import FOR_EVER, Handler, OnGivenUp, Outbox, Patience
from tasks.store.session import Database
from tasks.taskrecords import NO_RECORD, TaskRecord

log = structlog.get_logger()

# Nobody waits for a lesson.
LOOK_SECONDS = 1.0
# A lesson that its owner holds locked is delivered later; those of others come next.
LOCK_SECONDS = 0.5


def memory_handlers(bank: MemoryBank) -> dict[str, Handler]:
    """The handlers of the memory's topics."""
    delivery = IndexDelivery(bank)
    return {UPSERT: delivery.upsert, REMOVE: delivery.remove}


class OutboxWorker:
    """Parameters: `url` of the database (a worker's login), the others as of `Outbox`."""

    def __init__(
        self,
        url: str,
        handlers: Mapping[str, Handler],
        record: TaskRecord = NO_RECORD,
        *,
        patience: Patience = FOR_EVER,
        on_given_up: OnGivenUp = lambda connection, row, why, final: None,
    ) -> None:
        self._url, self._handlers, self._record = url, handlers, record
        self._patience, self._on_given_up = patience, on_given_up

    def run(self, stop: threading.Event) -> None:
        """Until `stop`, and then to the end of the delivery under way; one that is cut is delivered again later."""
        with Database(self._url, name="redraft outbox", pool=1, lock_seconds=LOCK_SECONDS) as database:
            outbox = Outbox(database, self._handlers, patience=self._patience, on_given_up=self._on_given_up)
            while not stop.is_set():
                if not self._deliver(outbox):
                    stop.wait(LOOK_SECONDS)

    def _deliver(self, outbox: Outbox) -> bool:
        """Whether there was something to deliver."""
        topics = ", ".join(self._handlers)
        try:
            failed = outbox.deliver()
        except DatabaseUnavailable as error:
            self._record.failed()
            log.warning("the outbox waits for Postgres", topics=topics, why=str(error).split("\n")[0])
            return False
        if failed:
            self._record.failed()
            log.warning("a delivery failed and is tried again", topics=topics, why=failed.split("\n")[0])
        else:
            self._record.succeeded()
        return failed is not None
