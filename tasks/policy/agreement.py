"""More candidates, until enough of those that passed behave alike, where passing is no proof. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tasks.policy.clusters import choose, clusters
from tasks.types import Candidate, Decision, Draft, Iteration, Limits, Operator, Probe

# Candidates that behave alike are enough, where no other cluster comes within `LEAD` of them; so many drafts are the
# end of drafting.
AGREE, LEAD, MOST = 3, 2, 16


def compare(
    history: Sequence[Iteration],
    candidates: Sequence[Candidate],
    limits: Limits,
    *,
    agree: int,
    lead: int,
    most: int,
) -> Decision:
    """Drafts, until `agree` of the `candidates`, which passed, form a cluster that no other comes within `lead` of, or
    until there are `most` drafts; then the choice. Inputs to tell programs apart are asked for once, where they differ.
    Nothing more is drafted where nothing can tell what the candidates do."""
    groups = clusters(candidates, executable=limits.executable)
    if not limits.executable and all(candidate.behaviour is None for candidate in candidates):
        return choose(history, limits) or Draft(slots=limits.width)
    sizes = [len(group) for group in groups]
    agreed = sizes[0] >= agree and sizes[0] >= lead + sum(sizes[1:2])
    if agreed or drafts(c for i in history for c in i.candidates) >= most:
        return choose(history, limits) or Draft(slots=limits.width)
    found = f"{sizes[0]} of {len(candidates)} that pass behave alike"
    if limits.executable and len(groups) > 1 and not _probed(history):
        return Probe(why=f"{len(candidates)} pass, and {len(groups)} of them differ")
    return Draft(slots=limits.width, why=found)


def drafts(candidates: Iterable[Candidate]) -> int:
    """How many of them were written anew."""
    return sum(candidate.operator in (Operator.DRAFT, Operator.RESTART) for candidate in candidates)


def _probed(history: Sequence[Iteration]) -> bool:
    return any(iteration.operator is Operator.INPUTS for iteration in history)
