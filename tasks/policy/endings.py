"""How a job ends, and when the cloud is asked first. Pure: functions of a job's history and its limits."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.types import Acceptance, Candidate, Escalate, Iteration, Limits, Operator, Stop, StopCode

# Kinds of checks that give an opinion; acceptance by these alone is labelled `judged`.
JUDGES = frozenset({"judge"})


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


def escalate(history: Sequence[Iteration], limits: Limits) -> Escalate | None:
    """The escalation: after `escalate_after` rejected iterations, once in a job."""
    failed = rejected(history)
    return ask_cloud(history, limits, f"{failed} iterations were rejected") if failed >= limits.escalate_after else None


def ask_cloud(history: Sequence[Iteration], limits: Limits, why: str) -> Escalate | None:
    """The escalation, where it is allowed and was not made yet."""
    escalated = any(iteration.operator is Operator.ESCALATE for iteration in history)
    return Escalate(why=why) if limits.cloud and not escalated else None
