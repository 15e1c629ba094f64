"""The strategy `ladder`: draft, compare what passes by its behaviour, repair what does not, and begin anew. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tasks.policy.agreement import AGREE, LEAD, MOST, compare, drafts
from tasks.policy.clusters import conclude_by_choice, passing
from tasks.policy.help import helped
from tasks.policy.lineages import by_root, head, stuck
from tasks.policy.progress import OBJECTIONS, PATIENCE, impossible, in_doubt, no_gain, objections_in, since_hint
from tasks.policy.repeats import distinct, is_stale
from tasks.types import Aggregate, Candidate, Decision, Draft, Iteration, Limits, Operator, Revise, Stop

# Plans that a redraft is told to move away from.
PLANS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Where passing the checks is proof it stops at the first candidate that passes. Elsewhere it gathers several,
    compares them by what they do, and chooses one of the largest cluster. Where there is a score it repairs, redrafts
    and aggregates until the score or the budget ends the job.

    `agree` candidates that behave alike are enough, where no other cluster comes within `lead` of them; `most` drafts
    are the end of drafting. After `first` drafts of which none passes they are repaired, and `parents` are aggregated.
    It gives up after `patience` iterations without a better score, or `objections` reviews that find the problem
    impossible.
    """

    name: ClassVar[str] = "ladder"
    agree: int = AGREE
    lead: int = LEAD
    most: int = MOST
    first: int = 4
    parents: int = 4
    patience: int = PATIENCE
    objections: int = OBJECTIONS

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Draft → … → Probe → Draft → … → Stop, where some pass; Draft → Revise → Draft(restart) → Aggregate → …"""
        end = conclude_by_choice(history, limits)
        if end is not None:
            return end
        candidates = passing(history) if limits.goal is None else ()
        if candidates:
            return compare(history, candidates, limits, agree=self.agree, lead=self.lead, most=self.most)
        return helped(history, limits, self._search(history, limits))

    def _search(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Repairs, redrafts by another plan and aggregates in turn, while nothing passes, or to raise a score."""
        if limits.goal is None and (stop := self._given_up(history)) is not None:
            return stop
        if not history or (drafts(distinct(history)) < self.first and not is_stale(history[-1])):
            return Draft(slots=limits.width)
        repair, aggregate, redraft = (
            self._repair(history, limits),
            self._aggregate(history, limits),
            _redraft(history, limits),
        )
        another = self._another_opinion(history, limits)
        match history[-1].operator:
            case Operator.RESTART:
                return another or aggregate or repair or redraft
            case Operator.AGGREGATE:
                return repair or redraft
            case Operator.DRAFT if not is_stale(history[-1]):
                return repair or redraft
            case _:
                return another or redraft

    def _given_up(self, history: Sequence[Iteration]) -> Stop | None:
        return impossible(history, self.objections) or no_gain(history, self.patience)

    def _repair(self, history: Sequence[Iteration], limits: Limits) -> Revise | None:
        heads = _heads(history)[: limits.width]
        why = "none passes" if limits.goal is None else "a better score"
        return Revise(parents=tuple(sorted(head.ref for head in heads)), analyse=True, why=why) if heads else None

    def _another_opinion(self, history: Sequence[Iteration], limits: Limits) -> Revise | None:
        """Repairs of other lineages, at once, while those in which the problem was found impossible are in doubt."""
        if not in_doubt(history):
            return None
        objected = {candidate.root for candidate in objections_in(since_hint(history))}
        others = [head.ref for head in _heads(history) if head.root not in objected][: limits.width]
        return Revise(parents=tuple(sorted(others)), analyse=True, why="another opinion") if others else None

    def _aggregate(self, history: Sequence[Iteration], limits: Limits) -> Aggregate | None:
        """The best candidates into one, unless nothing better came since they last were."""
        best = sorted(distinct(history), key=lambda c: (c.rank, c.ref), reverse=True)[: self.parents]
        last = max((i.number for i in history if i.operator is Operator.AGGREGATE), default=0)
        if len(best) < 2 or all(candidate.ref.iteration <= last for candidate in best):
            return None
        return Aggregate(
            parents=tuple(sorted(c.ref for c in best)), slots=limits.width, why="each has a part that is right"
        )


def _redraft(history: Sequence[Iteration], limits: Limits) -> Draft:
    """A fresh start that moves away from the plans tried."""
    plans = [candidate.ref for candidate in distinct(history) if candidate.revision == 0]
    why = "every draft was a rejected one again" if is_stale(history[-1]) else "another plan"
    return Draft(slots=limits.width, restart=True, avoid=tuple(plans[-PLANS:]), why=why)


def _heads(history: Sequence[Iteration]) -> Sequence[Candidate]:
    """The best candidate of each lineage that is worth another revision, the best first."""
    lineages = [lineage for lineage in by_root(history) if lineage[0].repeats is None and stuck(lineage) is None]
    return sorted(map(head, lineages), key=lambda head: (head.rank, head.ref), reverse=True)
