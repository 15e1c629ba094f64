"""Holds Celery's consumer to the lanes that can be served now. Level-triggered: it looks every second. Knows an
engine's health only as ready or not."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from tasks.loop import ENGINE_LANES
from tasks.taskrecords import NO_RECORD, TaskRecord
from tasks.types import Lane
from workers.engine.host import ModelHost

log = structlog.get_logger()

LOOK_SECONDS = 1.0


class LaneGate:
    """Parameters: the `lanes` of this worker, the `host` of its model, and `consumer`, which gives Celery's consumer of
    the moment."""

    def __init__(
        self,
        lanes: frozenset[Lane],
        host: ModelHost,
        consumer: Callable[[], object],
        record: TaskRecord = NO_RECORD,
    ) -> None:
        self._lanes, self._host, self._consumer, self._record = lanes, host, consumer, record
        self._closed = threading.Event()

    def open_lanes(self) -> frozenset[Lane]:
        """The lanes of this worker that it can serve now."""
        if self._closed.is_set():
            return frozenset()
        return self._lanes if self._host.ready else self._lanes - ENGINE_LANES

    def close(self) -> None:
        """No lane is served any more."""
        self._closed.set()

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        while not stop.wait(LOOK_SECONDS):
            consumer = self._consumer()
            if getattr(consumer, "task_consumer", None) is not None:
                self._match(consumer)
                self._record.succeeded()

    def _match(self, consumer: object) -> None:
        """Begins and ends the consumption of queues, in the consumer's own thread."""
        consuming_from = consumer.task_consumer.consuming_from  # type: ignore[attr-defined]
        open_lanes = self.open_lanes()
        for lane in self._lanes:
            if lane in open_lanes and not consuming_from(str(lane)):
                consumer.call_soon(consumer.add_task_queue, str(lane))  # type: ignore[attr-defined]
            elif lane not in open_lanes and consuming_from(str(lane)):
                log.warning("the lane can't be served now and is closed", lane=str(lane))
                consumer.call_soon(consumer.cancel_task_queue, str(lane))  # type: ignore[attr-defined]
