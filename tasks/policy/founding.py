"""How a population begins: drafts, one repair of what a check refused, and other plans while nothing is valid. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.policy.population import can_be_repaired, children, is_valid, valid, written
from tasks.policy.repeats import distinct, is_stale
from tasks.types import CandidateRef, Draft, Iteration, Limits, Operator, Revise

# Plans that a fresh start is told to move away from.
PLANS = 5
# One in so many completion tokens of a budget goes to the first drafts at most; what comes of them needs the others.
FOUNDING_PART = 4
TOKEN_CHARS = 4
# Repairs none of which was valid, after which none is asked for as long as there is something valid to go on from.
REPAIRS_NEEDED = 2
_NOT_REPAIRED = (Operator.REVISE, Operator.VARY)


def found(history: Sequence[Iteration], limits: Limits, first: int) -> Draft | Revise | None:
    """`first` drafts at least, unless they take more than their part of a small budget, then a repair of what needs
    one; None where there are parents, and nothing to repair."""
    begins = all(iteration.operator is Operator.DRAFT for iteration in history)
    few = len(distinct(history)) < first and not _took_their_part(history, limits)
    if begins and few and not (history and is_stale(history[-1])):
        return Draft(slots=limits.width)
    broken = _broken(history, limits)[: limits.width]
    if broken:
        return Revise(parents=broken, analyse=True, why="a check refused it")
    return None if valid(history, limits) else another_plan(history, limits, "nothing is valid")


def _took_their_part(history: Sequence[Iteration], limits: Limits) -> bool:
    """Whether the answers so far are, by their length, a quarter of the completion tokens that the job may take."""
    if limits.budget.completion_tokens is None:
        return False
    chars = sum(len(candidate.text) for iteration in history for candidate in iteration.candidates)
    return FOUNDING_PART * chars > TOKEN_CHARS * limits.budget.completion_tokens


def another_plan(history: Sequence[Iteration], limits: Limits, why: str) -> Draft:
    """A fresh start that moves away from the last plans."""
    plans = [candidate.ref for candidate in distinct(history) if candidate.revision == 0 and candidate.text.strip()]
    return Draft(slots=limits.width, restart=True, avoid=tuple(plans[-PLANS:]), why=why)


def _broken(history: Sequence[Iteration], limits: Limits) -> tuple[CandidateRef, ...]:
    """What has a repair to come, one for each: candidates that a check refused, of lineages in which nothing is valid,
    or of a last iteration that brought nothing valid. None where repairs fail, while there is something valid."""
    repaired, sound = children(history), {candidate.root for candidate in valid(history, limits)}
    if sound and _repairs_fail(history, limits):
        return ()
    last = history[-1] if history else None
    in_vain = last is not None and not any(is_valid(candidate, limits) for candidate in written([last]))
    return tuple(
        one.ref
        for one in distinct(history)
        if not is_valid(one, limits) and one.operator not in _NOT_REPAIRED and not repaired[one.ref]
        if can_be_repaired(one) and (one.root not in sound or (in_vain and last and one.ref.iteration == last.number))
    )


def _repairs_fail(history: Sequence[Iteration], limits: Limits) -> bool:
    """Whether none of the last repairs was valid."""
    repairs = [one for iteration in history for one in iteration.candidates if one.operator is Operator.REVISE]
    last = repairs[-REPAIRS_NEEDED:]
    return len(last) == REPAIRS_NEEDED and not any(is_valid(one, limits) for one in last)
