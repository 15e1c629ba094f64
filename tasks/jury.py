"""The second agent: judges a candidate by the job's `judge` checks. Over ports only."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.ports import Pulse
from tasks.types import Candidate, CheckSpec, Claim, Job, Verdict


class NoJury:
    """The twin for jobs without `judge` checks."""

    def deliberate(
        self, claim: Claim, job: Job, candidate: Candidate, checks: Sequence[CheckSpec], pulse: Pulse
    ) -> tuple[Verdict, ...]:
        """No verdict: nothing that a judge must accept is accepted."""
        return ()
