"""The strategy `best_of_n`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tasks.policy.endings import conclude
from tasks.types import Decision, Draft, Iteration, Limits


class BestOfN:
    """Independent drafts, round after round, none of which learns from another."""

    name: ClassVar[str] = "best_of_n"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Drafts `width` candidates a round until one is accepted, or to the end that the score or the budget sets."""
        return conclude(history, limits) or Draft(slots=limits.width)
