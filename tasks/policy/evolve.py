"""The strategy `evolve`: a population with islands, for jobs with a score. Pure.

After AlphaEvolve (arXiv 2506.13131) and ShinkaEvolve (arXiv 2509.19349): a model changes parents that are chosen by
rank and novelty, and sees what else is good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tasks.policy.endings import conclude
from tasks.policy.founding import another_plan, found
from tasks.policy.help import helped
from tasks.policy.mutation import mutation
from tasks.policy.population import children, islands
from tasks.policy.progress import no_gain
from tasks.policy.selection import Selection, inspirations
from tasks.policy.stagnation import Stagnation, stagnation
from tasks.types import Decision, Iteration, Limits, Mutate


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolve:
    """`first` drafts found the islands. Parents are changed for as long as that brings gains; without them the
    temperature rises, then other islands than the best go on, then another plan founds a new one."""

    name: ClassVar[str] = "evolve"
    first: int = 4

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Draft → … → Mutate → … → Draft(restart) → Mutate → …; a Revise where a check refused what there is"""
        end = conclude(history, limits)
        if end is not None:
            return end
        return helped(history, limits, self._next(history, limits))

    def _next(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        if limits.goal is None and (stop := no_gain(history)) is not None:
            return stop
        return found(history, limits, self.first) or self._change(history, limits)

    def _change(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        now = stagnation(history, limits)
        if not now.wants_other_plan:
            return _mutate(history, limits, now)
        return another_plan(history, limits, _idle(now))


def _mutate(history: Sequence[Iteration], limits: Limits, now: Stagnation) -> Mutate:
    living = islands(history, limits, now.young)
    others = living[1:] if now.wants_other_island else ()
    selection = Selection(seed=limits.seed, iteration=len(history) + 1, tried=children(history))
    parents = selection.parents(others or living, limits.width, now.young)
    where = f"other islands than {living[0][0].root}" if others else f"{len(living)} islands"
    why = f"{where}, {_idle(now)}" if now.idle else where
    return mutation(history, parents, limits, inspirations=inspirations(living), warmth=now.warmth, why=why)


def _idle(now: Stagnation) -> str:
    return f"no gain in {now.idle} iteration{'' if now.idle == 1 else 's'}"
