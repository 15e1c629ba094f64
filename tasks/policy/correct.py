"""The strategy `correct`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tasks.policy.endings import conclude, spent
from tasks.policy.help import helped
from tasks.policy.lineages import head, lineages, stuck
from tasks.types import Decision, Draft, Iteration, Limits, Revise


class Correct:
    """Draft, then review and revise the best lineages; a fresh start when they no longer improve, and the cloud, where
    it is allowed, when that does not help."""

    name: ClassVar[str] = "correct"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Draft → Revise (at most `REVISIONS_PER_LINEAGE` times a lineage) → Draft(restart) → … → Escalate → Stop"""
        if not history:
            return spent(history, limits) or Draft(slots=limits.width)
        return conclude(history, limits) or helped(history, limits, self._next(history, limits))

    def _next(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        current = lineages(history)
        promising = [lineage for lineage in current if stuck(lineage) is None]
        if promising:
            heads = sorted(map(head, promising), key=lambda head: (head.rank, head.ref), reverse=True)
            return Revise(parents=tuple(sorted(head.ref for head in heads[: limits.width])))
        reasons = sorted({stuck(lineage) or "" for lineage in current}) or ["every draft was degenerate"]
        return Draft(slots=limits.width, restart=True, why="; ".join(reasons))
