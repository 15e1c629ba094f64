"""What Flower shows of a turn: job, iteration, score, next move. Events leave in a background task from a bounded
queue, so that a slow broker stalls no slot; while the queue is full, new events are dropped. Must not know how a turn
is taken."""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

import structlog
from celery import Celery

from tasks.printable import printable
from tasks.scoring import shown as shown_value
from tasks.taskrecords import NO_RECORD, TaskRecord
from tasks.types import Claim, TurnReport
from workers import broker

log = structlog.get_logger()

# Flower is a window, not the truth: it may miss events, but a turn may never wait for it.
QUEUE_LENGTH = 2_000
RETRY_SECONDS = 1.0
# How long the task waits for an event before it looks whether it must stop.
POLL_SECONDS = 0.25


class TurnEvents:
    """Sends the `task-*` events of turns, whose texts a browser shows. `hostname` is the worker's name in Celery, or
    Flower takes it for another worker.

    Only args, kwargs and result of a progress event show in Flower.
    """

    def __init__(self, app: Celery, hostname: str, record: TaskRecord = NO_RECORD) -> None:
        self._app, self._hostname, self._record = app, hostname, record
        self._queue: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue(maxsize=QUEUE_LENGTH)
        self._started: dict[str, float] = {}
        self._last: dict[str, str] = {}

    def run(self, stop: threading.Event) -> None:
        """Until `stop`: then what is queued is sent where the broker is there, and dropped where it is away."""
        while not stop.is_set():
            try:
                self._send_until(stop)
            except broker.AWAY as error:
                self._record.failed()
                log.warning("events wait for the broker", error=type(error).__name__)
                stop.wait(RETRY_SECONDS)

    def started(self, claim: Claim) -> None:
        """A turn has a job: it appears in Flower only now."""
        self._started[claim.turn] = time.monotonic()
        name = f"job {claim.job} · epoch {claim.epoch}"
        self._put("task-received", claim.turn, name="redraft.turn", args="()", kwargs=name, retries=0, eta=None)
        self._put("task-started", claim.turn)

    def progress(self, claim: Claim, report: TurnReport) -> None:
        """Where the turn stands."""
        score = f"{report.score:.2f}" if report.value is None else shown_value(report.value)
        parts = (f"job {report.job}", report.title, f"iteration {report.iteration}", f"score {score}")
        where = " · ".join(part for part in parts if part)
        self._last[claim.turn] = f"next: {report.next}"
        self._put("task-progress", claim.turn, kwargs=where, result=self._last[claim.turn])

    def ends(self, claim: Claim, said: str) -> None:
        """How the turn ends, in the place of what would have come next."""
        self._last[claim.turn] = said

    def succeeded(self, claim: Claim) -> None:
        """The turn gave its lease back."""
        runtime = time.monotonic() - self._started.pop(claim.turn, time.monotonic())
        result = self._last.pop(claim.turn, "nothing to do")
        self._put("task-succeeded", claim.turn, result=result, runtime=runtime)

    def failed(self, turn: str, why: str) -> None:
        """A turn ended without a result: ours, or the stale one of a worker that died."""
        self._started.pop(turn, None)
        self._last.pop(turn, None)
        self._put("task-failed", turn, exception=why, traceback="")

    def _put(self, kind: str, turn: str, **fields: Any) -> None:
        shown = {name: printable(value) if isinstance(value, str) else value for name, value in fields.items()}
        try:
            self._queue.put_nowait((kind, {"uuid": turn, **shown}))
        except queue.Full:
            log.debug("an event was dropped", kind=kind)

    def _send_until(self, stop: threading.Event) -> None:
        with self._app.connection_for_write() as connection:
            connection.connect()  # Kombu's own retries would go on for ever, and hear no stop
            dispatcher = self._app.events.Dispatcher(
                connection, hostname=self._hostname, enabled=True, buffer_while_offline=False
            )
            while not (stop.is_set() and self._queue.empty()):
                self._record.succeeded()
                try:
                    kind, fields = self._queue.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    continue
                dispatcher.send(kind, **fields)
