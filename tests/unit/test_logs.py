"""The log of a process that stays: one line a thing, whoever says it."""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging

import pytest
import structlog

from workers.logs import configure_log

pytestmark = pytest.mark.usefixtures("log_as_it_was")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def say() -> None:
    """As a turn does, with a line of a library's among its own and one that comes after it."""

    def turn() -> None:
        structlog.contextvars.bind_contextvars(job=17, epoch=3, task_id="abc", iteration=2)
        structlog.get_logger().info("the turn goes on", next="revise")
        logging.getLogger("celery.worker").warning("a library's line of %s", "two")

    contextvars.copy_context().run(turn)
    structlog.get_logger().info("afterwards")


def test_as_json_each_line_is_one_object_that_names_job_iteration_epoch_and_task(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_log("info", "json")
    say()
    own, library, after = map(json.loads, lines(capsys))
    named = {"job": 17, "iteration": 2, "epoch": 3, "task_id": "abc"}
    assert (
        own | {"timestamp": ""}
        == {"event": "the turn goes on", "next": "revise", "level": "info", "timestamp": ""} | named
    )
    assert library["event"] == "a library's line of two"
    assert {name: library[name] for name in named} == named
    assert not after.keys() & named.keys()


def test_as_text_the_same_is_in_one_order(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("info", "text")
    say()
    own, library, after = lines(capsys)
    assert "level='info' event='the turn goes on' job=17 iteration=2 epoch=3 task_id='abc' next='revise'" in own
    assert "job=17" in library
    assert "job" not in after


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_traceback_is_in_its_line_and_what_is_below_the_level_is_nowhere(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_log("warning", form)  # type: ignore[arg-type]
    with contextlib.suppress(ZeroDivisionError):
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            structlog.get_logger().exception("a defect")
            raise
    structlog.get_logger().info("unsaid")
    logging.getLogger("celery").info("unsaid")
    (line,) = lines(capsys)
    assert "ZeroDivisionError: division by zero" in line
