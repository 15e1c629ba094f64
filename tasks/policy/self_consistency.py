"""The strategy `self_consistency`. Pure. The vote of independent answers is of arXiv 2203.11171; programs vote by what
they return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tasks.policy.agreement import AGREE, LEAD, MOST, compare
from tasks.policy.clusters import conclude_by_choice, passing
from tasks.types import Decision, Draft, Iteration, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfConsistency:
    """Independent drafts, none of which learns from another; where passing is no proof, the largest cluster of those
    that passed is the answer. With proof it is `best_of_n`.

    `agree` candidates that behave alike are enough, where no other cluster comes within `lead` of them; `most` drafts
    are the end of drafting, once any passed.
    """

    name: ClassVar[str] = "self_consistency"
    agree: int = AGREE
    lead: int = LEAD
    most: int = MOST

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Draft → … → Probe → Draft → … → Stop."""
        end = conclude_by_choice(history, limits)
        if end is not None:
            return end
        candidates = passing(history) if limits.goal is None else ()
        if not candidates:
            return Draft(slots=limits.width)
        return compare(history, candidates, limits, agree=self.agree, lead=self.lead, most=self.most)
