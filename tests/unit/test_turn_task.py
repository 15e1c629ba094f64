"""A wake-up becomes a turn of the runner that the worker's own app was given."""

from __future__ import annotations

from workers.celery_app import make_app
from workers.turn_task import TURN_TASK, register_turn

NOWHERE = "redis://127.0.0.1:1/0"


class Runner:
    """Keeps the wake-ups that it was given."""

    def __init__(self) -> None:
        self.turns: list[tuple[str, str]] = []

    def take_turn(self, lane: str, turn: str) -> None:
        self.turns.append((lane, turn))


def test_a_wake_up_names_its_lane_and_its_own_id() -> None:
    app, runner = make_app(NOWHERE), Runner()
    register_turn(app, runner)
    app.tasks[TURN_TASK].apply(args=("gpu",), task_id="the id")
    assert runner.turns == [("gpu", "the id")]


def test_two_workers_of_one_process_each_have_their_own_runner() -> None:
    first, second = Runner(), Runner()
    apps = [make_app(NOWHERE), make_app(NOWHERE)]
    for app, runner in zip(apps, (first, second), strict=True):
        register_turn(app, runner)
    apps[0].tasks[TURN_TASK].apply(args=("check",), task_id="a")
    assert (first.turns, second.turns) == ([("check", "a")], [])


def test_a_wake_up_is_acknowledged_at_once_and_never_retried() -> None:
    app = make_app(NOWHERE)
    register_turn(app, Runner())
    task = app.tasks[TURN_TASK]
    assert (task.acks_late, task.max_retries, task.ignore_result, task.send_events) == (False, 0, True, False)
