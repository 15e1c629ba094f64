"""The lineages of a job: which are worth another revision, and from which candidate. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.policy.similarity import similarity
from tasks.types import Candidate, CandidateRef, Iteration

# Debugging decays by 60-80 % within two or three tries and a fresh start recovers it (arXiv 2506.18403).
REVISIONS_PER_LINEAGE = 3
# Where the same complaint has come this often, another revision will not answer it either.
SAME_CRITIQUE = 3
# Two answers with so large a share of common phrases differ in a word or two of a hundred. That may be the one repair
# that was needed, so it counts as a repetition only where the checks see no difference either.
NEARLY_EQUAL = 0.95


def lineages(history: Sequence[Iteration]) -> tuple[tuple[Candidate, ...], ...]:
    """The lineages since the last fresh start, each from its draft to its newest revision, oldest first.

    A degenerate draft begins none; a degenerate revision is part of its lineage, since it was a try.
    """
    starts = [number for number, i in enumerate(history) if any(c.revision == 0 for c in i.candidates)]
    return by_root(history[starts[-1] if starts else 0 :])


def by_root(history: Sequence[Iteration]) -> tuple[tuple[Candidate, ...], ...]:
    """All lineages that begin in `history`, as `lineages` has them."""
    grouped: dict[CandidateRef, list[Candidate]] = {}
    for iteration in history:
        for candidate in iteration.candidates:
            if candidate.revision > 0 and candidate.root in grouped:
                grouped[candidate.root].append(candidate)
            elif candidate.revision == 0 and candidate.guard is None:
                grouped[candidate.root] = [candidate]
    return tuple(tuple(lineage) for lineage in grouped.values())


def head(lineage: Sequence[Candidate]) -> Candidate:
    """The candidate of a lineage that is revised next: its best, the newest of equals; never a degenerate one."""
    return max((c for c in lineage if c.guard is None), key=lambda candidate: (candidate.rank, candidate.ref))


def stuck(lineage: Sequence[Candidate]) -> str | None:
    """Why a lineage is not worth another revision, or None."""
    revisions = len(lineage) - 1
    if revisions >= REVISIONS_PER_LINEAGE:
        return f"{revisions} revisions failed"
    sound = [candidate for candidate in lineage if candidate.guard is None]
    if any(repeats(sound[-1], earlier) for earlier in sound[:-1]):
        return "a revision changed next to nothing"
    if sound[-1].fitness is not None:  # valid, and worth a better score
        return None
    complaints = [complaint(candidate) for candidate in sound]
    if complaints and complaints.count(complaints[-1]) >= SAME_CRITIQUE:
        return f"the same critique {SAME_CRITIQUE} times"
    return None


def repeats(later: Candidate, earlier: Candidate) -> bool:
    """Whether a revision is the same answer again: in the same words, or nearly, and then with the same verdicts."""
    if later.text.split() == earlier.text.split():
        return True
    return _outcome(later) == _outcome(earlier) and similarity(later.text, earlier.text) >= NEARLY_EQUAL


def complaint(candidate: Candidate) -> tuple[tuple[str, str], ...]:
    """The failures of visible checks: the name of each and its feedback."""
    return tuple((v.check, v.feedback) for v in candidate.verdicts if not v.passed and not v.held_out)


def _outcome(candidate: Candidate) -> tuple[tuple[bool, float, float], frozenset[str]]:
    return candidate.rank, frozenset(verdict.check for verdict in candidate.verdicts if not verdict.passed)
