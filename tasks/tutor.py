"""What earlier jobs teach a new one, and what an ended job teaches. Over ports only."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.ports import Pulse
from tasks.types import Claim, Iteration, Job, Lesson, Stop


class NoTutor:
    """The twin of a deployment without a memory: nothing is recalled, nothing is kept."""

    def recall(self, job: Job) -> tuple[Lesson, ...]:
        """None."""
        return ()

    def distil(self, claim: Claim, job: Job, history: Sequence[Iteration], end: Stop, pulse: Pulse) -> Lesson | None:
        """None."""
        return None
