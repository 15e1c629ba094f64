"""What follows from a budget of evaluations. Pure; must not know how a candidate is checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.policy.clusters import choose
from tasks.ports import Decider
from tasks.types import Aggregate, Decision, Draft, Iteration, Job, Limits, Mutate, Recheck, Revise, Stop, StopCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The decisions of `strategy` on `job` within its budget of evaluations: none makes more candidates than are left
    of it, and where none is left the job ends, with the choice among what there is. A job without such a budget is
    decided on as it is."""

    strategy: Decider
    job: Job

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """As `Strategy` has it."""
        most = self.job.spec.budget.evaluations
        decision = self.strategy.decide(history, limits)
        if most is None or isinstance(decision, Stop):
            return decision
        used = evaluations((*self.job.earlier, *history))
        if used < most:
            return _within(decision, most - used)
        choice = choose(history, limits) if limits.goal is None else None
        return choice or Stop(code=StopCode.BUDGET_EVALUATIONS, used=used, limit=most)


def evaluations(history: Sequence[Iteration]) -> int:
    """How many candidates were checked."""
    return sum(bool(candidate.verdicts) for iteration in history for candidate in iteration.candidates)


def _within(decision: Decision, left: int) -> Decision:
    """The decision with at most so many candidates; what a model writes comes first."""
    match decision:
        case Draft(slots=slots) | Aggregate(slots=slots):
            return dataclasses.replace(decision, slots=min(slots, left))
        case Revise(parents=parents) | Recheck(parents=parents):
            return dataclasses.replace(decision, parents=parents[:left])
        case Mutate(parents=parents, variants=variants):
            spare = min(variants, max(0, left - len(parents)))
            varied = decision.varied if spare else ()
            return dataclasses.replace(decision, parents=parents[:left], varied=varied, variants=spare)
        case _:
            return decision
