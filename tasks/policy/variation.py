"""What an iteration measures that no model writes: variants of which candidates, and how many. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tasks.policy.population import can_be_repaired, climbed, is_valid, written
from tasks.types import Candidate, CandidateRef, Iteration, Limits, Operator

# Variants that are measured beside the changes of one iteration, at most, and the seconds that their evaluators may
# take together by the median of the last valid candidates: a model's answer takes longer.
VARIANTS = 32
VARIANT_SECONDS = 20.0
# Invalid answers that are repaired beside variants of the best, and the seconds that the checks of each may have taken.
REPAIRED = 4
REPAIRED_SECONDS = 10.0


def varied(history: Sequence[Iteration], limits: Limits) -> tuple[CandidateRef, ...]:
    """The best so far or one as good, and the last answers that a check refused since the mutation before; none where
    nothing may be varied. An answer whose checks took long may hang, and its repairs with it."""
    best = _as_good_as_best(history, limits) if limits.varies else None
    if best is None:
        return ()
    before = [n for n, iteration in enumerate(history) if iteration.operator in (Operator.MUTATE, Operator.EDIT)]
    broken = [
        one.ref
        for one in written(history[max(before, default=0) :])
        if not is_valid(one, limits) and can_be_repaired(one) and _seconds(one) <= REPAIRED_SECONDS
    ]
    return best.ref, *broken[-REPAIRED:]


def variants(history: Sequence[Iteration], limits: Limits) -> int:
    """How many variants fit into the time of an iteration; one at least, where anything may be varied. One evaluation
    on a busy machine decides nothing."""
    known = [one for iteration in history for one in iteration.candidates if is_valid(one, limits)][-VARIANTS:]
    if not limits.varies or not known:
        return 0
    seconds = median(map(_seconds, known))
    return max(1, min(VARIANTS, int(VARIANT_SECONDS / max(seconds, VARIANT_SECONDS / VARIANTS))))


def _as_good_as_best(history: Sequence[Iteration], limits: Limits) -> Candidate | None:
    """The last variant that is as good as the best candidate, and without one that candidate. Where no variant of an
    answer is better, such a step aside may have one that is."""
    best = climbed(history, limits)
    if best is None:
        return None
    found = [one for iteration in history for one in iteration.candidates if one.operator is Operator.VARY]
    return next((one for one in reversed(found) if one.rank == best.rank and is_valid(one, limits)), best)


def _seconds(candidate: Candidate) -> float:
    return sum(verdict.seconds for verdict in candidate.verdicts)
