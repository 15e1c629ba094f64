"""The mutation of parents: whole answers written again, or edits of long ones. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tasks.edits import body_of
from tasks.policy.population import drifted, is_valid
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
    best candidate, which cost no tokens."""
    long = not limits.files and all(len(body_of(parent.text).text) > EDITS_PAY for parent in parents)
    varied = drifted(history, limits) if limits.varies else None
    return Mutate(
        parents=tuple(parent.ref for parent in parents),
        inspirations=inspirations,
        edits=long and not _refused(history),
        warmth=warmth,
        varied=varied.ref if varied else None,
        variants=_variants(history, limits) if varied else 0,
        why=why,
    )


def _variants(history: Sequence[Iteration], limits: Limits) -> int:
    """How many variants fit into the time of an iteration; one at least. One evaluation on a busy machine decides
    nothing."""
    known = [one for iteration in history for one in iteration.candidates if is_valid(one, limits)][-VARIANTS:]
    seconds = median(sum(verdict.seconds for verdict in one.verdicts) for one in known)
    return max(1, min(VARIANTS, int(VARIANT_SECONDS / max(seconds, VARIANT_SECONDS / VARIANTS))))


def _refused(history: Sequence[Iteration]) -> bool:
    """Whether most edits did not apply."""
    made = [c for iteration in history for c in iteration.candidates if c.operator is Operator.EDIT and c.guard is None]
    last = made[-EDITS_LOOKED_AT:]
    return len(last) >= EDITS_NEEDED and 2 * sum(map(is_unapplied, last)) > len(last)
