"""The gate between an engine's health and what Celery consumes."""

from __future__ import annotations

import time
from collections.abc import Callable

from tasks.types import Lane
from tests.background import running
from tests.unit.test_background import Deaths
from workers.background import BackgroundTasks
from workers.engine.host import NoEngine
from workers.lane_gate import LaneGate

LANES = frozenset({Lane.GPU, Lane.FAST, Lane.CHECK})


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


class Host(NoEngine):
    ready = True


class TaskConsumer:
    def __init__(self, queues: set[str]) -> None:
        self.queues = queues

    def consuming_from(self, queue: str) -> bool:
        return queue in self.queues


class Consumer:
    """As much of Celery's as the gate touches; calls are made at once."""

    def __init__(self) -> None:
        self.queues = {str(lane) for lane in LANES}
        self.task_consumer = TaskConsumer(self.queues)

    def call_soon(self, call: Callable[[str], object], queue: str) -> None:
        call(queue)

    def add_task_queue(self, queue: str) -> None:
        self.queues.add(queue)

    def cancel_task_queue(self, queue: str) -> None:
        self.queues.discard(queue)


def test_a_closed_gate_closes_every_lane() -> None:
    consumer = Consumer()
    gate = LaneGate(LANES, Host(), lambda: consumer)
    assert gate.open_lanes() == LANES
    gate.close()
    assert gate.open_lanes() == frozenset()
    with running(gate.run):
        eventually(lambda: consumer.queues == set())


def test_a_gate_that_dies_is_told_of() -> None:
    class Broken(Consumer):
        def call_soon(self, call: Callable[[str], object], queue: str) -> None:
            raise ConnectionError("closed by the broker")

    host, deaths = Host(), Deaths()
    host.ready = False
    tasks = BackgroundTasks(deaths)
    tasks.start("lane gate", LaneGate(LANES, host, Broken).run)
    deaths.wait()
    assert deaths.said == ["background task lane gate died: ConnectionError: closed by the broker"]
    assert tasks.stop() == ()


def test_the_lanes_of_an_engine_are_consumed_only_while_it_is_well_and_checks_always() -> None:
    host, consumer = Host(), Consumer()
    with running(LaneGate(LANES, host, lambda: consumer).run):
        for ready, wanted in ((False, {"check"}), (True, {"gpu", "fast", "check"})):
            host.ready = ready
            eventually(lambda wanted=wanted: consumer.queues == wanted)  # type: ignore[misc]
