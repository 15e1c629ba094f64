"""The mutation of parents: whole answers written again, or edits of long ones. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tasks.edits import body_of
from tasks.policy.population import can_be_repaired, drifted, is_valid, written
from tasks.policy.unapplied import is_unapplied
from tasks.types import Candidate, CandidateRef, Iteration, Limits, Mutate, Operator

# Characters of a parent from which on edits take fewer tokens than the whole answer, though each line that is replaced
# is written twice.
EDITS_PAY = 1_500
# The last edits that are looked at, and the fewest that say whether the model can write any.
EDITS_LOOKED_AT = 8
EDITS_NEEDED = 4
# Variants of the best candidate that are measured beside the changes of one iteration, at most, and the seconds that
# their evaluators may take together by the median of the last valid candidates: a model's answer takes longer.
VARIANTS = 32
VARIANT_SECONDS = 20.0
# Invalid answers that are repaired without a model beside them, and the seconds that checks may have taken for each.
REPAIRED = 4
REPAIRED_SECONDS = 10.0


def mutation(
    history: Sequence[Iteration],
    parents: Sequence[Candidate],
    limits: Limits,
    *,
    inspirations: tuple[CandidateRef, ...] = (),
    warmth: int = 0,
    why: str = "",
) -> Mutate:
    """A change of each parent: edits where all are long, unless most of the last ones were refused: then the model
    can't write them. An answer of several files is a change of its parent's in any case. Beside them variants of the
    best candidate and repairs of invalid ones, which cost no tokens."""
    long = not limits.files and all(len(body_of(parent.text).text) > EDITS_PAY for parent in parents)
    varied = _varied(history, limits) if limits.varies else ()
    return Mutate(
        parents=tuple(parent.ref for parent in parents),
        inspirations=inspirations,
        edits=long and not _refused(history),
        warmth=warmth,
        varied=varied,
        variants=_variants(history, limits) if varied else 0,
        why=why,
    )


def _varied(history: Sequence[Iteration], limits: Limits) -> tuple[CandidateRef, ...]:
    """What variants are measured of: the best so far, and the last answers that a check refused since the mutation
    before. One that took long may hang, and its variants with it."""
    best = drifted(history, limits)
    before = [n for n, iteration in enumerate(history) if iteration.operator in (Operator.MUTATE, Operator.EDIT)]
    broken = [
        one.ref
        for one in written(history[max(before, default=0) :])
        if not is_valid(one, limits) and can_be_repaired(one) and _seconds(one) <= REPAIRED_SECONDS
    ]
    return (*((best.ref,) if best else ()), *broken[-REPAIRED:])


def _variants(history: Sequence[Iteration], limits: Limits) -> int:
    """How many variants fit into the time of an iteration; one at least. One evaluation on a busy machine decides
    nothing."""
    known = [one for iteration in history for one in iteration.candidates if is_valid(one, limits)][-VARIANTS:]
    seconds = median(map(_seconds, known))
    return max(1, min(VARIANTS, int(VARIANT_SECONDS / max(seconds, VARIANT_SECONDS / VARIANTS))))


def _seconds(candidate: Candidate) -> float:
    return sum(verdict.seconds for verdict in candidate.verdicts)


def _refused(history: Sequence[Iteration]) -> bool:
    """Whether most edits did not apply."""
    made = [c for iteration in history for c in iteration.candidates if c.operator is Operator.EDIT and c.guard is None]
    last = made[-EDITS_LOOKED_AT:]
    return len(last) >= EDITS_NEEDED and 2 * sum(map(is_unapplied, last)) > len(last)
