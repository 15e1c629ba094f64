"""The cloud's turn at a job: at most one request for each decision. Over ports only."""

from __future__ import annotations

from tasks.ports import Pulse
from tasks.types import Claim, Completion, Job


class NoCloud:
    """The twin of a deployment without a cloud model: nothing is sent, and no answer comes."""

    def answer(self, claim: Claim, job: Job, number: int, pulse: Pulse) -> Completion | None:
        """None."""
        return None
