"""Candidates that behave alike: which of those that passed is chosen where passing is no proof. Pure.

Choice by behaviour beats choice by text (arXiv 2605.08680); generated inputs vote, they never gate (arXiv 2501.01054).
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.policy.endings import accept, conclude, given_up, spent, stop_at
from tasks.policy.identity import identity
from tasks.types import Candidate, Iteration, Limits, Stop


def passing(history: Sequence[Iteration]) -> tuple[Candidate, ...]:
    """The accepted candidates with the highest rank, the first first."""
    accepted = [candidate for iteration in history for candidate in iteration.candidates if candidate.accepted]
    highest = max((candidate.rank for candidate in accepted), default=None)
    return tuple(candidate for candidate in accepted if candidate.rank == highest)


def clusters(candidates: Sequence[Candidate], *, executable: bool = False) -> tuple[tuple[Candidate, ...], ...]:
    """The candidates by what they do, the largest group first, of equals the one with the first candidate. What nobody
    has run counts by its text, or as code where the candidates are `executable`."""
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.behaviour or identity(candidate, executable=executable), []).append(candidate)
    return tuple(sorted(map(tuple, groups.values()), key=lambda group: (-len(group), group[0].ref)))


def conclude_by_choice(history: Sequence[Iteration], limits: Limits) -> Stop | None:
    """As `conclude`, for strategies that go on past the first accepted candidate where passing is no proof, and then
    choose among all."""
    if limits.goal is not None:
        return conclude(history, limits)
    end = (accept(history) if limits.decisive else None) or given_up(history) or spent(history, limits)
    return None if end is None else choose(history, limits) or end


def choose(history: Sequence[Iteration], limits: Limits) -> Stop | None:
    """The end of a job with accepted candidates: the first of the largest cluster is its answer."""
    candidates = passing(history)
    if len(candidates) < 2:
        return stop_at(candidates[0]) if candidates else None
    largest = clusters(candidates, executable=limits.executable)[0]
    return stop_at(largest[0], alike=len(largest), of=len(candidates))
