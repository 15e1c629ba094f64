"""The score of a job: which check decides it, what it wants, and which of its candidates is the best so far. Pure
functions of checks and candidates; must not know who asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.types import Candidate, CheckSpec, Goal, Iteration, Verdict

SCORE = "score"
MINIMISE = "minimise"


def deciding(checks: Sequence[CheckSpec]) -> CheckSpec | None:
    """The check whose value ranks the candidates: the first score that is held out, else the first of all; None where
    the job has no score."""
    scores = [check for check in checks if check.kind == SCORE]
    return next((check for check in scores if check.held_out), scores[0] if scores else None)


def is_minimised(check: CheckSpec) -> bool:
    """Whether less is better of what a check of kind score measures."""
    return isinstance(check.value, Mapping) and check.value.get("goal") == MINIMISE


def goal_of(checks: Sequence[CheckSpec]) -> Goal | None:
    """What a job with a score wants, in terms of `Candidate.fitness`; None where it has no score."""
    check = deciding(checks)
    if check is None:
        return None
    options: Mapping[str, Any] = check.value
    target, plateau = options.get("target"), options.get("plateau") or {}
    return Goal(
        target=None if target is None else _fitness(check, float(target)),
        noise=float(options.get("noise") or 0.0),
        plateau_iterations=plateau.get("iterations"),
        plateau_improvement=float(plateau.get("improvement") or 0.0),
    )


def unheard(checks: Sequence[CheckSpec]) -> tuple[int, str, Any] | None:
    """The first option about the end of a job that a score has which does not decide: the number of its check, its name
    and its value. None where there is none."""
    decides = deciding(checks)
    for number, check in enumerate(checks):
        if check.kind == SCORE and check is not decides:
            given = {name: check.value.get(name) for name in ("target", "plateau", "noise")}
            given["noise"] = given["noise"] or None  # 0 is stored where none was given
            for name, value in given.items():
                if value is not None:
                    return number, name, value
    return None


def fitness_of(verdicts: Sequence[Verdict], checks: Sequence[CheckSpec]) -> float | None:
    """The value of the job's deciding score, negated where less is better; None where the job has none, and where that
    check gave no value."""
    check = deciding(checks)
    value = next((verdict.value for verdict in verdicts if check is not None and verdict.check == check.name), None)
    return None if value is None or check is None else _fitness(check, value)


def value_of(candidate: Candidate) -> float | None:
    """The value behind a candidate's fitness, in the unit of its evaluator; None where it has none."""
    scores = [verdict for verdict in candidate.verdicts if verdict.kind == SCORE and verdict.value is not None]
    if candidate.fitness is None or not scores:
        return None
    return next((verdict.value for verdict in scores if verdict.held_out), scores[0].value)


def reaches(fitness: float | None, goal: Goal) -> bool:
    """Whether a valid candidate of this fitness is acceptable: any is, where the goal names no target."""
    return fitness is not None and (goal.target is None or fitness >= goal.target)


def is_better(new: Candidate, best: Candidate | None, noise: float = 0.0) -> bool:
    """Whether `new` replaces the incumbent `best`: a greater fitness by more than `noise`, where there is a score, else
    a greater score of the checks; or the first that is accepted. Never a degenerate one."""
    if new.guard is not None:
        return False
    if best is None or (new.accepted and not best.accepted):
        return True
    if new.fitness is not None and best.fitness is not None:
        return new.fitness > best.fitness + noise
    return new.rank > best.rank


def best_of(candidates: Iterable[Candidate], chosen: str = "") -> Candidate | None:
    """The best candidate of one iteration, the first of equals; `chosen` is the accepted one that a stop names."""
    return max(
        candidates,
        key=lambda c: (str(c.ref) == chosen, c.accepted, c.guard is None, c.rank, -c.ref.slot),
        default=None,
    )


def incumbents(history: Sequence[Iteration], noise: float = 0.0) -> tuple[Candidate | None, ...]:
    """The incumbent after each iteration of `history`: never a worse one than before."""
    best: Candidate | None = None
    after = []
    for iteration in history:
        new = best_of(iteration.candidates)
        best = new if new is not None and is_better(new, best, noise) else best
        after.append(best)
    return tuple(after)


def shown(value: float) -> str:
    """A value for people: ten digits at most, without trailing zeros."""
    return f"{value:.10g}"


def _fitness(check: CheckSpec, value: float) -> float:
    return -value if is_minimised(check) else value
