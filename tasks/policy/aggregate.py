"""The strategy `aggregate`: recursive self-aggregation (RSA, arXiv 2509.26626). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tasks.policy.clusters import choose, conclude_by_choice, passing
from tasks.policy.help import helped
from tasks.policy.progress import no_gain
from tasks.policy.repeats import distinct, unlike
from tasks.types import Aggregate, CandidateRef, Decision, Draft, Iteration, Limits, Operator, Synthesise

DRAFTING = (Operator.DRAFT, Operator.RESTART)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """A population of drafts, of which each next generation is made: every candidate of some of the one before.

    `population` drafts at least; `rounds` generations, most of the gain comes by the fourth; then it begins anew.
    """

    name: ClassVar[str] = "aggregate"
    population: int = 4
    rounds: int = 3

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Draft → … → Aggregate → … → Synthesise → Stop, where some pass; Draft(restart) → … where none does"""
        end = conclude_by_choice(history, limits)
        if end is not None:
            return end
        start = _since_start(history)
        generations = sum(iteration.operator is Operator.AGGREGATE for iteration in start)
        if not generations and sum(len(iteration.candidates) for iteration in start) < self.population:
            return Draft(slots=limits.width)
        parents = _generation(start, limits)
        if len(parents) > 1 and generations < self.rounds:
            return Aggregate(parents=parents, slots=limits.width, why=f"generation {generations + 1} of {self.rounds}")
        return self._conclude(history, limits)

    def _conclude(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """The choice among what passed; of texts, which nothing can compare, the best parts are merged before. A fresh
        start where nothing passed, and where there is a score to raise."""
        candidates = passing(history) if limits.goal is None else ()
        if not candidates:
            if limits.goal is None and (stop := no_gain(history)) is not None:
                return helped(history, limits, stop)
            why = "no generation passed" if limits.goal is None else "a better score"
            return helped(history, limits, Draft(slots=limits.width, restart=True, why=why))
        synthesised = any(iteration.operator is Operator.SYNTHESISE for iteration in history)
        parts = unlike(candidates, executable=limits.executable)[: self.population]
        if len(parts) > 1 and not limits.executable and not synthesised:
            return Synthesise(parents=tuple(part.ref for part in parts), why=f"{len(candidates)} pass")
        return choose(history, limits) or Draft(slots=limits.width)


def _since_start(history: Sequence[Iteration]) -> Sequence[Iteration]:
    """The iterations since the last fresh start, that one included."""
    starts = [number for number, iteration in enumerate(history) if iteration.operator is Operator.RESTART]
    return history[starts[-1] if starts else 0 :]


def _generation(start: Sequence[Iteration], limits: Limits) -> tuple[CandidateRef, ...]:
    """The newest generation, each candidate of which differs from all before: the drafts, or what was last made of
    them, with the best before it where that is one alone. Empty where the last generation brought nothing new, or what
    passed is merged already."""
    candidates = unlike(distinct(start), executable=limits.executable)
    if start[-1].operator in DRAFTING:
        return tuple(candidate.ref for candidate in candidates)
    newest = [c for c in candidates if c.ref.iteration == start[-1].number and c.operator is Operator.AGGREGATE]
    others = sorted((c for c in candidates if c not in newest), key=lambda c: (c.rank, c.ref), reverse=True)
    return tuple(sorted(c.ref for c in [*newest, *others[: max(0, 2 - len(newest))]])) if newest else ()
