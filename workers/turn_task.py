"""The one Celery task: a wake-up for a lane becomes a turn of this worker's own runner. Must not know how a turn is
taken."""

from __future__ import annotations

from typing import Protocol

from celery import Celery, Task

# What the relay sends and Flower shows.
TURN_TASK = "redraft.turn"


class TakesTurns(Protocol):
    """What a wake-up is for: the worker's `TurnRunner`."""

    def take_turn(self, lane: str, turn: str) -> None:
        """Answers one wake-up for `lane`; `turn` is its Celery id."""


def register_turn(app: Celery, runner: TakesTurns) -> None:
    """Makes `app` answer wake-ups with the turns of `runner`."""

    @app.task(  # type: ignore[untyped-decorator]
        name=TURN_TASK, shared=False, bind=True, ignore_result=True, send_events=False, acks_late=False, max_retries=0
    )
    def turn(self: Task, lane: str) -> None:
        """Takes the job that should run next on `lane`, if there is one, and one turn at it."""
        runner.take_turn(lane, self.request.id)
