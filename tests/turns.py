"""A turn at a job that no database holds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tasks.deadline import NO_DEADLINE, Deadline
from tasks.heartbeat import Heartbeat, SilentHeartbeat
from tasks.turn import Turn
from tasks.types import Claim, Job, JobSpec, Lane, Spend

CLAIM = Claim(job=1, epoch=1, worker="w", turn="t")


def job_of(**spec: Any) -> Job:
    """A job that nobody has worked at, with these fields of its spec."""
    return Job(
        id=1,
        owner="alice",
        spec=JobSpec(**{"title": "t", "problem": "p", "checks": (), **spec}),
        lane=Lane.GPU,
        history=(),
        open=None,
        incumbent=None,
        spend=Spend(),
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class StoppedClock:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def turn_of(
    job: Job, claim: Claim = CLAIM, heartbeat: Heartbeat | None = None, deadline: Deadline = NO_DEADLINE
) -> Turn:
    """A turn at `job` on a worker that serves every lane."""
    heartbeat = heartbeat or SilentHeartbeat()
    return Turn(claim=claim, job=job, lanes=frozenset(Lane), heartbeat=heartbeat, deadline=deadline)
