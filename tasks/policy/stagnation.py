"""How long a population has not become better, and what is changed for that. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.policy.population import climbed, ranked, valid
from tasks.types import CandidateRef, Iteration, Limits, Operator

# Iterations without a gain, or a fresh start, after which a step of temperature is added, other islands than the best
# one go on, and another plan is tried.
WARMER = 2
OTHER_ISLAND = 4
OTHER_PLAN = 8
# Iterations that a fresh start has before its island must keep up with the others.
YOUNG = 4
_STARTS = frozenset({Operator.RESTART, Operator.ESCALATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stagnation:
    """`idle` counts iterations since the last gain or fresh start; `young` are the roots that the last fresh start
    brought, where it is later than the last gain and is to be spared. A job that ends at a plateau takes its turns the
    sooner: within `plateau` iterations."""

    idle: int
    young: frozenset[CandidateRef] = frozenset()
    plateau: int | None = None

    @property
    def wants_other_island(self) -> bool:
        """Whether the best island is left alone for now."""
        return self.idle >= self._within(OTHER_ISLAND, 4)

    @property
    def wants_other_plan(self) -> bool:
        """Whether a fresh start is due."""
        return self.idle >= self._within(OTHER_PLAN, 2)

    @property
    def warmth(self) -> int:
        """Steps of temperature above the model's own."""
        return self.idle // WARMER

    def _within(self, iterations: int, share: int) -> int:
        """So many iterations, or at most this share of the plateau's."""
        return iterations if self.plateau is None else min(iterations, max(1, self.plateau // share))


def stagnation(history: Sequence[Iteration], limits: Limits) -> Stagnation:
    """Where the job stands. An improvement within the noise of its score is no gain."""
    best = climbed(history, limits)
    gain = best.ref.iteration if best else 0
    start = max((i.number for i in history if i.operator in _STARTS and i.candidates), default=0)
    idle = (history[-1].number if history else 0) - max(gain, start)
    fresh = ranked(one for one in valid(history, limits) if one.ref.iteration == start)
    young = frozenset(one.ref for one in fresh[:1]) if gain < start and idle < YOUNG else frozenset[CandidateRef]()
    return Stagnation(idle=idle, young=young, plateau=limits.goal.plateau_iterations if limits.goal else None)
