"""The mutation of parents: whole answers written again, or edits of long ones. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.edits import body_of
from tasks.policy.unapplied import is_unapplied
from tasks.policy.variation import variants, varied
from tasks.types import Candidate, CandidateRef, Iteration, Limits, Mutate, Operator

# Characters of a parent from which on edits take fewer tokens than the whole answer, though each line that is replaced
# is written twice.
EDITS_PAY = 1_500
# The last edits that are looked at, and the fewest that say whether the model can write any.
EDITS_LOOKED_AT = 8
EDITS_NEEDED = 4


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
    return Mutate(
        parents=tuple(parent.ref for parent in parents),
        inspirations=inspirations,
        edits=long and not _refused(history),
        warmth=warmth,
        varied=varied(history, limits),
        variants=variants(history, limits),
        why=why,
    )


def _refused(history: Sequence[Iteration]) -> bool:
    """Whether most edits did not apply."""
    made = [c for iteration in history for c in iteration.candidates if c.operator is Operator.EDIT and c.guard is None]
    last = made[-EDITS_LOOKED_AT:]
    return len(last) >= EDITS_NEEDED and 2 * sum(map(is_unapplied, last)) > len(last)
