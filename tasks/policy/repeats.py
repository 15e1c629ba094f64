"""Which candidates are rejected ones again: a draft that does what a rejected one did is no new draft. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from tasks.policy.identity import identity
from tasks.types import Candidate, CandidateRef, Iteration


def repeated(candidate: Candidate, earlier: Iterable[Candidate], *, executable: bool) -> CandidateRef | None:
    """The first rejected candidate of `earlier` that behaves like `candidate` or is the same text or program; None
    where it is a new one. What does the same may still have another score, so of candidates with one only the text
    counts. Degenerate ones are compared with nothing, and an accepted one is no repetition."""
    if candidate.guard is not None or candidate.accepted:
        return None
    same = (
        other.ref
        for other in earlier
        if other.guard is None and not other.accepted and other.ref < candidate.ref
        if _does_the_same(candidate, other, executable=executable)
    )
    return next(same, None)


def marked(candidates: Iterable[Candidate], history: Sequence[Iteration], *, executable: bool) -> tuple[Candidate, ...]:
    """An iteration's checked candidates, each with the rejected one that it is again."""
    earlier = [candidate for iteration in history for candidate in iteration.candidates]
    new: list[Candidate] = []
    for candidate in candidates:
        same = repeated(candidate, [*earlier, *new], executable=executable)
        new.append(dataclasses.replace(candidate, repeats=same))
    return tuple(new)


def is_stale(iteration: Iteration) -> bool:
    """Whether the iteration brought candidates, and none that is new."""
    return bool(iteration.candidates) and all(c.repeats or c.guard for c in iteration.candidates)


def distinct(history: Sequence[Iteration]) -> tuple[Candidate, ...]:
    """All candidates that are neither degenerate nor a rejected one again, the first first."""
    return tuple(c for iteration in history for c in iteration.candidates if c.guard is None and c.repeats is None)


def unlike(candidates: Iterable[Candidate], *, executable: bool) -> tuple[Candidate, ...]:
    """The first of each text or program."""
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        first.setdefault(identity(candidate, executable=executable), candidate)
    return tuple(first.values())


def _does_the_same(one: Candidate, other: Candidate, *, executable: bool) -> bool:
    scored = one.fitness is not None or other.fitness is not None
    if not scored and one.behaviour is not None and one.behaviour == other.behaviour:
        return True
    return identity(one, executable=executable) == identity(other, executable=executable)
