"""The population of a job: its islands, and the members of each that a mutation may begin with. Pure.

An island is what descends from one draft, so that nothing is stored of it but the lineage that each candidate has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tasks.policy.lineages import NEARLY_EQUAL
from tasks.policy.repeats import distinct
from tasks.policy.similarity import similarity
from tasks.policy.unapplied import is_unapplied
from tasks.scoring import best_of, is_better
from tasks.types import Candidate, CandidateRef, Iteration, Limits, Operator

# Islands that go on, those with the best members; the others die out.
ISLANDS = 4
# Members of an island, which are chosen among so many of its best: a text is compared with few others.
MEMBERS = 8
COMPARED = 16

Island = tuple[Candidate, ...]


def is_valid(candidate: Candidate, limits: Limits) -> bool:
    """Whether a candidate may be a parent: with a score, one that no check refused, and elsewhere any that is whole."""
    if candidate.guard is not None or is_unapplied(candidate) or not candidate.text.strip():
        return False
    return limits.goal is None or candidate.fitness is not None


def can_be_repaired(candidate: Candidate) -> bool:
    """Whether a candidate that a check refused has a text to repair: not what the guard cut, nor edits that don't
    apply."""
    return candidate.guard is None and bool(candidate.text.strip()) and not is_unapplied(candidate)


def valid(history: Sequence[Iteration], limits: Limits) -> Sequence[Candidate]:
    """All candidates that may be parents, the first first. A variant is one only if it is better than what it varies:
    there are many of them, and they are nearly equal."""
    found = [candidate for candidate in distinct(history) if is_valid(candidate, limits)]
    ranks = {candidate.ref: candidate.rank for candidate in found}
    return [
        one
        for one in found
        if one.operator is not Operator.VARY or one.parent not in ranks or one.rank > ranks[one.parent]
    ]


def ranked(candidates: Iterable[Candidate]) -> Sequence[Candidate]:
    """The best first; of equals the earlier."""
    return sorted(sorted(candidates, key=lambda one: one.ref), key=lambda one: one.rank, reverse=True)


def climbed(history: Sequence[Iteration], limits: Limits) -> Candidate | None:
    """The last candidate that was a gain over all before it, by more than the score's noise; None where none may be a
    parent."""
    noise = limits.goal.noise if limits.goal else 0.0
    best: Candidate | None = None
    for iteration in history:
        new = best_of(one for one in iteration.candidates if one.repeats is None and is_valid(one, limits))
        best = new if new is not None and is_better(new, best, noise) else best
    return best


def islands(history: Sequence[Iteration], limits: Limits, young: frozenset[CandidateRef]) -> tuple[Island, ...]:
    """The living islands, the one with the best member first: the best ones, and those of the roots `young`. The
    members of each the best first, none of which is nearly the text of a better one."""
    by_root: dict[CandidateRef, list[Candidate]] = {}
    for candidate in ranked(valid(history, limits)):
        by_root.setdefault(candidate.root, []).append(candidate)
    spared = [root for root in by_root if root in young]
    others = [root for root in by_root if root not in young][: ISLANDS - len(spared)]
    return tuple(_unlike(members) for root, members in by_root.items() if root in spared or root in others)


def children(history: Sequence[Iteration]) -> Counter[CandidateRef]:
    """How many candidates a model made of each, whatever came of them."""
    return Counter(c.parent for c in written(history) if c.parent is not None)


def written(history: Sequence[Iteration]) -> Iterator[Candidate]:
    """All candidates but the variants, which no model wrote."""
    return (c for iteration in history for c in iteration.candidates if c.operator is not Operator.VARY)


def _unlike(members: Sequence[Candidate]) -> Island:
    kept: list[Candidate] = []
    for one in members[:COMPARED]:
        if len(kept) < MEMBERS and all(similarity(one.text, other.text) < NEARLY_EQUAL for other in kept):
            kept.append(one)
    return tuple(kept)
