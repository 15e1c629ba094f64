"""The strategy `ladder`: draft, compare what passes by its behaviour, repair what does not, and begin anew. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tasks.policy.clusters import choose, clusters, passing
from tasks.policy.endings import accept, escalate, given_up, spent
from tasks.policy.identity import identity
from tasks.policy.lineages import by_root, head, stuck
from tasks.types import Candidate, Decision, Draft, Iteration, Limits, Operator, Probe, Revise


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Where passing the checks is proof it stops at the first candidate that passes. Elsewhere it gathers several,
    compares them by what they do, and chooses one of the largest cluster.

    `agree` candidates that behave alike are enough, where no other cluster comes within `lead` of them; `most` drafts
    are the end of drafting, and after `first` without one that passes they are repaired.
    """

    name: ClassVar[str] = "ladder"
    agree: int = 3
    lead: int = 2
    most: int = 16
    first: int = 4

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Draft → … → Probe → Draft → … → Stop, where some pass; Draft → Revise → Draft(restart) → … where none does"""
        end = (accept(history) if limits.decisive else None) or given_up(history) or spent(history, limits)
        if end is not None:
            return choose(history, limits) or end
        candidates = passing(history)
        if candidates:
            return self._compare(history, candidates, limits)
        return escalate(history, limits) or self._search(history, limits)

    def _compare(self, history: Sequence[Iteration], candidates: Sequence[Candidate], limits: Limits) -> Decision:
        """More drafts, until enough of those that pass agree."""
        groups = clusters(candidates, executable=limits.executable)
        sizes = [len(group) for group in groups]
        agreed = sizes[0] >= self.agree and sizes[0] >= self.lead + sum(sizes[1:2])
        if agreed or _written(history) >= self.most:
            return choose(history, limits) or Draft(slots=limits.width)
        found = f"{sizes[0]} of {len(candidates)} that pass behave alike"
        if limits.executable and len(groups) > 1 and not _probed(history):
            return Probe(why=f"{len(candidates)} pass, and {len(groups)} of them differ")
        return Draft(slots=limits.width, why=found)

    def _search(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Repairs and redrafts in turn, while nothing passes."""
        if not history or _written(history) < self.first:
            return Draft(slots=limits.width)
        heads = _heads(history, limits)
        if heads and history[-1].operator is not Operator.REVISE:
            return Revise(parents=tuple(sorted(head.ref for head in heads[: limits.width])), why="none passes")
        return Draft(
            slots=limits.width, restart=True, why="a repair failed" if heads else "no lineage is worth another"
        )


def _heads(history: Sequence[Iteration], limits: Limits) -> Sequence[Candidate]:
    """The best candidate of each lineage that is worth another revision, without repetitions, the best first."""
    lineages = [lineage for lineage in by_root(history) if stuck(lineage) is None]
    heads = sorted(map(head, lineages), key=lambda head: (head.score, head.ref), reverse=True)
    return list({identity(head, executable=limits.executable): head for head in reversed(heads)}.values())[::-1]


def _written(history: Sequence[Iteration]) -> int:
    """How many drafts there are."""
    return sum(candidate.revision == 0 for iteration in history for candidate in iteration.candidates)


def _probed(history: Sequence[Iteration]) -> bool:
    return any(iteration.operator is Operator.INPUTS for iteration in history)
