"""The strategy `single`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tasks.policy.endings import accept
from tasks.types import Decision, Draft, Iteration, Limits, Operator, Stop, StopCode


class Single:
    """One draft, checked once."""

    name: ClassVar[str] = "single"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Drafts once, unless the owner's answer is accepted, and stops."""
        accepted = accept(history) if history else None
        if accepted is None and all(iteration.operator is Operator.START for iteration in history):
            return Draft(slots=1)
        return accepted or Stop(code=StopCode.DRAFT_REJECTED)
