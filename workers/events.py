"""What Flower sees of a turn: job, iteration, score, next move. Events leave on a side thread from a
bounded queue, so that a slow broker stalls no slot; when the queue is full the newest is dropped."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

import structlog
from celery import Celery

from tasks.printable import printable
from tasks.types import Claim, TurnReport

log = structlog.get_logger()

# Flower is a window, not the truth: it may miss events, but a turn may never wait for it.
QUEUE_LENGTH = 2_000
RETRY_SECONDS = 1.0


class TurnEvents:
    """Sends the `task-*` events of turns, whose texts a browser shows.

    Only args, kwargs and result of a progress event show in Flower.
    """

    def __init__(self, app: Celery, hostname: str) -> None:
        self._app, self._hostname = app, hostname
        self._queue: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue(maxsize=QUEUE_LENGTH)
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._started: dict[str, float] = {}
        self._last: dict[str, str] = {}

    def start(self) -> None:
        """Starts the side thread."""
        self._thread.start()

    def stop(self) -> None:
        """Sends what is queued and ends the thread."""
        self._queue.put(None)
        self._thread.join(timeout=5)

    def started(self, claim: Claim) -> None:
        """A turn has a job: it appears in Flower only now."""
        self._started[claim.turn] = time.monotonic()
        name = f"job {claim.job} · epoch {claim.epoch}"
        self._send("task-received", claim.turn, name="redraft.turn", args="()", kwargs=name, retries=0, eta=None)
        self._send("task-started", claim.turn)

    def progress(self, claim: Claim, report: TurnReport) -> None:
        """Where the turn stands."""
        where = f"job {report.job} · iteration {report.iteration} · score {report.score:.2f}"
        self._last[claim.turn] = f"next: {report.next}"
        self._send("task-progress", claim.turn, kwargs=where, result=self._last[claim.turn])

    def succeeded(self, claim: Claim) -> None:
        """The turn gave its lease back."""
        runtime = time.monotonic() - self._started.pop(claim.turn, time.monotonic())
        result = self._last.pop(claim.turn, "nothing to do")
        self._send("task-succeeded", claim.turn, result=result, runtime=runtime)

    def failed(self, turn: str, why: str) -> None:
        """A turn ended without a result: ours, or the stale one of a worker that died."""
        self._started.pop(turn, None)
        self._last.pop(turn, None)
        self._send("task-failed", turn, exception=why, traceback="")

    def _send(self, kind: str, turn: str, **fields: Any) -> None:
        try:
            shown = {name: printable(value) if isinstance(value, str) else value for name, value in fields.items()}
            self._queue.put_nowait((kind, {"uuid": turn, **shown}))
        except queue.Full:
            log.debug("an event was dropped", kind=kind)

    def _run(self) -> None:
        while True:
            try:
                with self._app.connection_for_write() as connection:
                    dispatcher = self._app.events.Dispatcher(connection, hostname=self._hostname, enabled=True)
                    while (item := self._queue.get()) is not None:
                        kind, fields = item
                        dispatcher.send(kind, **fields)
                    return
            except Exception as error:  # noqa: BLE001 - whatever the broker raises, events go on when it is back
                log.warning("events wait for the broker", error=type(error).__name__)
                time.sleep(RETRY_SECONDS)
