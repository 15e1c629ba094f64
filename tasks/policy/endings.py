"""How a job ends. Pure: functions of a job's history and its limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tasks.scoring import incumbents, reaches, shown, value_of
from tasks.types import Acceptance, Candidate, Goal, Iteration, JobState, Limits, Operator, Stop, StopCode

# Kinds of checks that give an opinion; acceptance by these alone is labelled `judged`.
JUDGES = frozenset({"judge"})


def conclude(history: Sequence[Iteration], limits: Limits) -> Stop | None:
    """The end that the candidates or the budget bring. Of a job with a score it is the target, the plateau or the
    budget, never the first valid candidate nor a rejected answer of the cloud model."""
    if limits.goal is None:
        return accept(history) or given_up(history) or spent(history, limits)
    return reached(history, limits.goal) or plateau(history, limits.goal) or spent(history, limits)


def settled(stop: Stop, history: Sequence[Iteration], limits: Limits) -> Stop:
    """The end of a job with a score, whatever strategy decided it. An accepted answer is the best one. Without a target
    an end without one is the acceptance of the best valid candidate, with why the search ended. Any other end is
    unchanged."""
    best = _incumbent(history, limits.goal) if limits.goal is not None else None
    if limits.goal is None or best is None or not best.accepted:
        return stop
    if stop.code is StopCode.ACCEPTED:
        accepted = {str(c.ref) for iteration in history for c in iteration.candidates if c.accepted}
        return stop_at(best) if stop.detail in accepted - {str(best.ref)} else stop
    if limits.goal.target is not None or stop.state is not JobState.UNSOLVED:
        return stop
    return dataclasses.replace(stop_at(best), ended_by=stop.code, used=stop.used, limit=stop.limit, needed=stop.needed)


def reached(history: Sequence[Iteration], goal: Goal) -> Stop | None:
    """The end of a job whose best candidate reached the target of its score."""
    best = _incumbent(history, goal)
    done = goal.target is not None and best is not None and best.accepted and reaches(best.fitness, goal)
    return stop_at(best) if best is not None and done else None


def plateau(history: Sequence[Iteration], goal: Goal) -> Stop | None:
    """The end of a job whose best value has risen by no more than the plateau's improvement in its last iterations,
    where its score has a plateau. Iterations without candidates don't count."""
    made = [iteration for iteration in history if iteration.candidates]
    best = incumbents(made, goal.noise)
    patience = goal.plateau_iterations
    if patience is None or len(best) <= patience:
        return None
    now, before = best[-1], best[-1 - patience]
    if now is None or before is None or now.fitness is None or before.fitness is None:
        return None
    if now.fitness - before.fitness > goal.plateau_improvement:
        return None
    return Stop(code=StopCode.PLATEAU, used=patience, detail=shown(goal.plateau_improvement))


def accept(history: Sequence[Iteration]) -> Stop | None:
    """The end of a job that has an accepted candidate: all checks passed, the held-out ones included."""
    for iteration in history:
        for candidate in iteration.candidates:
            if candidate.accepted:
                return stop_at(candidate)
    return None


def stop_at(candidate: Candidate, *, alike: int | None = None, of: int | None = None) -> Stop:
    """The end of a job whose answer is this accepted candidate: `alike` that do the same as it, `of` all that passed,
    where one was chosen among several."""
    judged_only = all(verdict.kind in JUDGES for verdict in candidate.verdicts)
    return Stop(
        code=StopCode.ACCEPTED,
        detail=str(candidate.ref),
        acceptance=Acceptance.JUDGED if judged_only else Acceptance.VERIFIED,
        used=alike,
        limit=of,
        value=value_of(candidate),
    )


def spent(history: Sequence[Iteration], limits: Limits) -> Stop | None:
    """The end of a job whose budget is spent."""
    budget, spend = limits.budget, limits.spend
    units: tuple[tuple[StopCode, float, float], ...] = (
        (StopCode.BUDGET_ITERATIONS, len(history), budget.iterations),
        (StopCode.BUDGET_HOURS, limits.hours, budget.hours),
        (StopCode.BUDGET_TOKENS, spend.local_tokens + spend.cloud_tokens, budget.tokens),
    )
    for code, used, limit in units:
        if used >= limit:
            return Stop(code=code, used=used, limit=limit)
    return None


def given_up(history: Sequence[Iteration]) -> Stop | None:
    """The end of a job for which the cloud model's answer was rejected like the local ones."""
    if any(iteration.operator is Operator.ESCALATE and iteration.candidates for iteration in history):
        return Stop(code=StopCode.CLOUD_REJECTED)
    return None


def rejected(history: Sequence[Iteration]) -> int:
    """How many iterations had candidates of which none was accepted."""
    return sum(1 for i in history if i.candidates and not any(c.accepted for c in i.candidates))


def _incumbent(history: Sequence[Iteration], goal: Goal) -> Candidate | None:
    return incumbents(history, goal.noise)[-1] if history else None
