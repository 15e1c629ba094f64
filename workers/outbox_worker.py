"""Carries the outbox in a thread beside the relay: a slow receiver stalls no wake-up."""

from __future__ import annotations

import threading

import structlog

from tasks.errors import DatabaseUnavailable
from tasks.ports import MemoryBank
from tasks.store.lesson_queries import REMOVE, IndexDelivery
from tasks.store.lesson_writes import UPSERT
from tasks.store.outbox import Handler, Outbox
from tasks.store.session import Database

log = structlog.get_logger()

# Nobody waits for a lesson.
LOOK_SECONDS = 1.0
# A lesson that its owner holds locked is carried later; those of others come next.
LOCK_SECONDS = 0.5


def memory_handlers(bank: MemoryBank) -> dict[str, Handler]:
    """What carries the memory's topics."""
    delivery = IndexDelivery(bank)
    return {UPSERT: delivery.upsert, REMOVE: delivery.remove}


class OutboxWorker:
    """Parameters: `url` of the database (a worker's login), and a handler for each topic."""

    def __init__(self, url: str, handlers: dict[str, Handler]) -> None:
        self._database = Database(url, name="redraft outbox", pool=1, lock_seconds=LOCK_SECONDS)
        self._outbox = Outbox(self._database, handlers)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begins to carry."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the delivery under way; one that hangs is given up, and delivered again later."""
        self._stopping.set()
        self._thread.join(timeout=5)
        self._database.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                failed = self._outbox.deliver()
            except DatabaseUnavailable as error:
                log.warning("the outbox waits for Postgres", why=str(error).split("\n")[0])
                failed = None
            if failed:
                log.warning("a delivery failed and is tried again", why=failed.split("\n")[0])
            if failed is None:
                self._stopping.wait(LOOK_SECONDS)
