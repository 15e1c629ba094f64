"""What follows from a change of a job's checks. Pure; must not know how a change is made or stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.policy.unapplied import is_unapplied
from tasks.ports import Decider
from tasks.types import Candidate, CandidateRef, Decision, Iteration, Job, Limits, Recheck, Stop, StopCode

# Candidates of before that are checked again: no call, and a second or two of the sandbox each.
RECHECKED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rechecked:
    """The decisions of `strategy` on `job` whose checks were changed: first the best candidates of before are checked
    again, since their verdicts are of other checks; then it decides on what came after the change alone. Nothing is
    accepted while a change waits. A job whose checks nobody changed is decided on as it is."""

    strategy: Decider
    job: Job

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """As `Strategy` has it."""
        due = self.job.new_checks or (not history and bool(self.job.earlier))
        parents = _best(history or self.job.earlier) if due else ()
        if parents and len(history) < limits.budget.iterations:
            return Recheck(parents=parents, why="the checks were changed")
        decision = self.strategy.decide(history, limits)
        return self._whole(decision) if isinstance(decision, Stop) else decision

    def _whole(self, stop: Stop) -> Stop:
        """The end by a budget of iterations with all iterations of the job."""
        before = len(self.job.earlier)
        if stop.code is not StopCode.BUDGET_ITERATIONS or not before:
            return stop
        used, limit = (None if amount is None else amount + before for amount in (stop.used, stop.limit))
        return dataclasses.replace(stop, used=used, limit=limit)


def is_outdated(decision: Decision, job: Job) -> bool:
    """Whether a decision would accept an answer that a waiting change of the checks has still to judge."""
    return job.new_checks and isinstance(decision, Stop) and decision.code is StopCode.ACCEPTED


def _best(history: Sequence[Iteration]) -> tuple[CandidateRef, ...]:
    """The best distinct candidates, the best first."""
    distinct: dict[str, Candidate] = {}
    for candidate in (candidate for iteration in history for candidate in iteration.candidates):
        if candidate.guard is None and candidate.text.strip() and not is_unapplied(candidate):
            distinct.setdefault(candidate.text, candidate)
    best = sorted(distinct.values(), key=lambda one: (one.accepted, one.rank, one.ref), reverse=True)
    return tuple(candidate.ref for candidate in best[:RECHECKED])
