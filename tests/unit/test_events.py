"""The events of turns while the broker is away, or is a broken one."""

from __future__ import annotations

import threading
from typing import Any

import structlog

from tasks.types import Claim, TurnReport
from tests.unit.test_background import Deaths
from workers.background import BackgroundTasks
from workers.celery_app import make_app
from workers.events import QUEUE_LENGTH, TurnEvents
from workers.home import free_port

CLAIM = Claim(job=7, epoch=1, worker="w", turn="t")
REPORT = TurnReport(job=7, iteration=1, score=0.0, next="draft")


class Broker:
    """As much of Celery's app as events need. `sent` is what arrived; an `error` is raised instead."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.events = self
        self.sent: list[str] = []
        self.arrived = threading.Event()
        self._error = error

    def connection_for_write(self) -> Broker:
        return self

    def __enter__(self) -> Broker:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def connect(self) -> None:
        pass

    def Dispatcher(self, *_: Any, **__: Any) -> Broker:
        return self

    def send(self, kind: str, **_: Any) -> None:
        if self._error:
            raise self._error
        self.sent.append(kind)
        self.arrived.set()


def test_a_full_queue_and_a_broker_that_is_away_keep_no_worker_from_ending() -> None:
    events, deaths = TurnEvents(make_app(f"redis://127.0.0.1:{free_port()}/0"), "w"), Deaths()
    tasks = BackgroundTasks(deaths)
    for _ in range(QUEUE_LENGTH + 1):
        events.progress(CLAIM, REPORT)  # which waits for nothing
    tasks.start("events", events.run)
    assert tasks.stop() == ()
    assert deaths.said == []


def test_what_is_queued_at_the_end_is_sent() -> None:
    broker, deaths = Broker(), Deaths()
    events, tasks = TurnEvents(broker, "w"), BackgroundTasks(deaths)  # type: ignore[arg-type]
    tasks.start("events", events.run)
    events.started(CLAIM)
    assert broker.arrived.wait(30)
    events.progress(CLAIM, REPORT)
    events.succeeded(CLAIM)
    assert tasks.stop() == ()
    assert broker.sent == ["task-received", "task-started", "task-progress", "task-succeeded"]


def test_a_broker_that_fails_at_each_event_is_tried_again_until_the_end() -> None:
    events, deaths = TurnEvents(Broker(ConnectionError("closed")), "w"), Deaths()  # type: ignore[arg-type]
    tasks = BackgroundTasks(deaths)
    with structlog.testing.capture_logs() as lines:
        events.started(CLAIM)
        tasks.start("events", events.run)
        assert tasks.stop() == ()
    assert {line["event"] for line in lines} <= {"events wait for the broker"}
    assert deaths.said == []


def test_events_that_die_are_told_of() -> None:
    events, deaths = TurnEvents(Broker(MemoryError()), "w"), Deaths()  # type: ignore[arg-type]
    tasks = BackgroundTasks(deaths)
    events.started(CLAIM)
    tasks.start("events", events.run)
    deaths.wait()
    assert deaths.said == ["background task events died: MemoryError: "]
    assert tasks.stop() == ()


def test_flower_is_told_the_title_and_how_a_turn_ended() -> None:
    broker, deaths = Recording(), Deaths()
    events, tasks = TurnEvents(broker, "w@redraft"), BackgroundTasks(deaths)  # type: ignore[arg-type]
    events.started(CLAIM)
    events.progress(CLAIM, TurnReport(job=7, title="Even numbers", iteration=2, score=0.5, next="revise"))
    events.ends(CLAIM, "stop (accepted): every check passed")
    events.succeeded(CLAIM)
    events.failed("another", "engine: hung up")
    tasks.start("events", events.run)
    assert tasks.stop() == ()
    told = dict(broker.told)
    assert told["task-progress"]["kwargs"] == "job 7 · Even numbers · iteration 2 · score 0.50"
    assert told["task-succeeded"]["result"] == "stop (accepted): every check passed"
    assert told["task-failed"]["exception"] == "engine: hung up"


class Recording(Broker):
    """A broker that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, dict[str, Any]]] = []

    def send(self, kind: str, **fields: Any) -> None:
        super().send(kind)
        self.told.append((kind, fields))
