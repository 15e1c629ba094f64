"""One turn at a job: what its steps need of it. A value that goes through loop, judges, lessons, cloud and journal."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tasks.deadline import NO_DEADLINE, Deadline, TimedHeartbeat
from tasks.errors import NeedsLane
from tasks.heartbeat import Heartbeat
from tasks.progress import NO_PROGRESS, Progress
from tasks.scoring import value_of
from tasks.types import Candidate, Claim, Job, Lane, TurnReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A turn at `job`, as it was when it was loaded. `claim` is the right to write for it, `heartbeat` shows that it
    goes on and says when to stop, `lanes` are the lanes that the worker serves now.

    `deadline` is when the job's hours are over. It ends requests to models, not checks: those have timeouts of their
    own, and a candidate that was finished in time may still be checked.
    """

    claim: Claim
    job: Job
    lanes: frozenset[Lane]
    heartbeat: Heartbeat
    progress: Progress = NO_PROGRESS
    deadline: Deadline = NO_DEADLINE

    @property
    def call_heartbeat(self) -> Heartbeat:
        """The heartbeat of a request to a model: raises `LimitReached` once the job's hours are over."""
        return TimedHeartbeat(heartbeat=self.heartbeat, deadline=self.deadline)

    def of(self, job: Job) -> Turn:
        """The same turn, with the job as it is now."""
        return dataclasses.replace(self, job=job)

    def until(self, deadline: Deadline) -> Turn:
        """The same turn, whose requests to models end at `deadline`."""
        return dataclasses.replace(self, deadline=deadline)

    def need(self, lane: Lane) -> None:
        """Raises `NeedsLane` where this worker doesn't serve `lane`."""
        if lane not in self.lanes:
            raise NeedsLane(lane)

    def report(self, step: str, best: Candidate | None = None) -> None:
        """Tells that the turn has come to `step`, and the score of the `best` candidate, else of the incumbent."""
        job = self.job
        number = job.open.number if job.open else len(job.iterations)
        best = best or job.incumbent
        score, value = (best.score, value_of(best)) if best else (0.0, None)
        self.progress.report(
            TurnReport(job=job.id, title=job.spec.title, iteration=number, score=score, next=step, value=value)
        )
