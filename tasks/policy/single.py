"""The strategy `single`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tasks.policy.endings import accept
from tasks.types import Decision, Draft, Iteration, Limits, Stop, StopCode


class Single:
    """One draft, checked once."""

    name: ClassVar[str] = "single"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Drafts once and stops."""
        if not history:
            return Draft(slots=1)
        return accept(history) or Stop(code=StopCode.DRAFT_REJECTED)
