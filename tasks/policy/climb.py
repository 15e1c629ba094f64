"""The strategy `climb`: hill climbing, with no population at all. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tasks.policy.endings import conclude
from tasks.policy.founding import found
from tasks.policy.mutation import mutation
from tasks.policy.population import climbed
from tasks.types import Decision, Draft, Iteration, Limits


class Climb:
    """Every slot changes the best candidate so far: the baseline that a population must beat."""

    name: ClassVar[str] = "climb"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Draft → Mutate → …, where a candidate is valid; Draft → Revise → Draft(restart) → … where none is"""
        end = conclude(history, limits)
        if end is not None:
            return end
        beginning, best = found(history, limits, first=1), climbed(history, limits)
        if beginning is not None or best is None:
            return beginning or Draft(slots=limits.width)
        return mutation(history, [best] * limits.width, limits, why=f"{best.ref} is the best so far")
