"""The Celery tasks: one, which is one turn at a job. Everything it needs hangs on the app as `runner`."""

from __future__ import annotations

from celery import Task, shared_task


@shared_task(  # type: ignore[untyped-decorator]
    name="redraft.turn", bind=True, ignore_result=True, send_events=False, acks_late=False, max_retries=0
)
def turn(self: Task, lane: str) -> None:
    """A wake-up for `lane`: takes the job that should run next there, if there is one, and one turn at it."""
    self.app.runner.take_turn(lane, self.request.id)
