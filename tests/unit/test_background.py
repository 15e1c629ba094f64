"""Background tasks: what is logged, who hears of a death, and that an end is bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
import structlog

from workers.background import BackgroundTasks

WAIT_SECONDS = 30.0


class Deaths:
    """What was said of deaths; `wait` returns when there is one."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._heard = threading.Event()

    def __call__(self, why: str) -> None:
        self.said.append(why)
        self._heard.set()

    def wait(self) -> None:
        assert self._heard.wait(WAIT_SECONDS)


@pytest.fixture
def deaths() -> Deaths:
    return Deaths()


@pytest.fixture
def tasks(deaths: Deaths) -> Iterator[BackgroundTasks]:
    with BackgroundTasks(deaths) as tasks:
        yield tasks


def until_stopped(stop: threading.Event) -> None:
    stop.wait()


def raising(error: BaseException) -> Callable[[threading.Event], None]:
    def run(stop: threading.Event) -> None:
        raise error

    return run


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (raising(OSError(28, "No space left on device")), "OSError: [Errno 28] No space left on device"),
        (raising(SystemExit(0)), "SystemExit: 0"),
        (lambda stop: None, "it returned before it was told to stop"),
    ],
)
def test_a_task_that_ends_on_its_own_account_is_logged_and_told_of(
    run: Callable[[threading.Event], None], why: str, tasks: BackgroundTasks, deaths: Deaths
) -> None:
    with structlog.testing.capture_logs() as lines:
        tasks.start("watch", run)
        deaths.wait()
    assert deaths.said == [f"background task watch died: {why}"]
    ended = [line for line in lines if line["event"] == "a background task ended before it was told to"]
    assert [(line["task"], line["why"]) for line in ended] == [("watch", why)]
    raised = [line for line in lines if line["event"] == "a background task died"]
    assert [line["exc_info"] for line in raised] == ([] if "returned" in why else [True]), "with its traceback"


def test_only_the_first_death_is_told_of(deaths: Deaths, tasks: BackgroundTasks) -> None:
    tasks.start("first", raising(OSError("gone")))
    deaths.wait()
    with structlog.testing.capture_logs() as lines:
        tasks.start("second", raising(OSError("gone, too")))
        tasks.stop()
    assert [line["task"] for line in lines if line["event"].startswith("a background task ended")] == ["second"]
    assert deaths.said == ["background task first died: OSError: gone"]


def test_the_last_one_started_is_the_first_to_end(tasks: BackgroundTasks) -> None:
    ended = list[str]()

    def noting(name: str) -> Callable[[threading.Event], None]:
        def run(stop: threading.Event) -> None:
            stop.wait()
            ended.append(name)

        return run

    for name in ("renewer", "events", "watchdog"):
        tasks.start(name, noting(name))
    assert tasks.stop() == ()
    assert ended == ["watchdog", "events", "renewer"]


def test_one_that_hangs_is_named_and_the_others_end_nevertheless(tasks: BackgroundTasks, deaths: Deaths) -> None:
    freed = threading.Event()
    tasks.start("well", until_stopped)
    tasks.start("hung", lambda stop: until_stopped(freed), stop_seconds=0.01)
    with structlog.testing.capture_logs() as lines:
        assert tasks.stop() == ("hung",)
    assert [line["tasks"] for line in lines] == [("hung",)]
    freed.set()
    assert tasks.stop() == ()
    assert deaths.said == []


def test_an_error_on_the_way_out_is_logged_and_no_death(tasks: BackgroundTasks, deaths: Deaths) -> None:
    def run(stop: threading.Event) -> None:
        stop.wait()
        raise OSError("the connection was closed")

    tasks.start("events", run)
    with structlog.testing.capture_logs() as lines:
        assert tasks.stop() == ()
    assert [line["event"] for line in lines] == ["a background task died"]
    assert deaths.said == []


def test_a_death_may_stop_all_tasks_from_its_own_thread() -> None:
    left = threading.Event()

    def leave(why: str) -> None:
        assert tasks.stop() == ("dying",), "its own thread is the one that asks"
        left.set()

    tasks = BackgroundTasks(leave)
    tasks.start("well", until_stopped)
    tasks.start("dying", raising(OSError("gone")))
    assert left.wait(WAIT_SECONDS)
