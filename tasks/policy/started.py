"""What follows from an answer that a job was submitted with. Pure; must not know where it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.ports import Decider
from tasks.types import Decision, Iteration, Job, Limits, Start


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The decisions of `strategy` on `job`: where the job has an answer of its owner's, first that is checked. The
    strategy then goes on from it as from a draft that failed, or is not good enough. A job without one is decided on as
    it is."""

    strategy: Decider
    job: Job

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """As `Strategy` has it."""
        if self.job.spec.start and not history and not self.job.earlier:
            return Start(why="the job begins with it")
        return self.strategy.decide(history, limits)
