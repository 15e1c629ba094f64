"""The strategy `best_of_n`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tasks.policy.endings import accept, spent
from tasks.types import Decision, Draft, Iteration, Limits


class BestOfN:
    """Independent drafts, round after round, none of which learns from another."""

    name: ClassVar[str] = "best_of_n"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Drafts `width` candidates a round until one is accepted or the budget is spent."""
        return accept(history) or spent(history, limits) or Draft(slots=limits.width)
