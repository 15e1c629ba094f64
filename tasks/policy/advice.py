"""What follows from a person's advice to a job, and when a job asks for it. Pure; must not know how advice is stored or
shown."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from tasks.policy.endings import settled, spent
from tasks.ports import Decider
from tasks.reasons import explain
from tasks.types import (
    Ask,
    Decision,
    Draft,
    Egress,
    Escalate,
    HintSource,
    Iteration,
    Job,
    JobState,
    Limits,
    Operator,
    Revise,
    Stop,
    StopCode,
)

# Ends that a strategy comes to since it sees no further move: advice is one.
NO_FURTHER_MOVE = frozenset(
    {
        StopCode.DRAFT_REJECTED,
        StopCode.CLOUD_REJECTED,
        StopCode.NO_GAIN,
        StopCode.PLATEAU,
        StopCode.IMPOSSIBLE,
        StopCode.GAVE_UP,
    }
)


# Iterations in which the local model tried nothing: advice that one of them was the first to see is not used up.
NOT_LOCAL = frozenset({Operator.ASK, Operator.HINT, Operator.ESCALATE})
# Iterations: one asks, and one at least sees the answer.
ASKED_AND_USED = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """The decisions of `strategy` on `job`: where it would give the job up, what it decides on the iterations since a
    person's newest advice alone, as far as the budget goes. Advice that no iteration has seen is drafted with where the
    strategy would revise, for a revision holds on to the answer that was rejected; and it comes before a request to
    the cloud. Where a job that may ask its owner would still end or ask the cloud, it asks its owner first. A job that
    nobody advised and that may not ask is decided on as it is."""

    strategy: Decider
    job: Job

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """As `Strategy` has it."""
        decision = self.strategy.decide(history, limits)
        if isinstance(decision, Revise) and self.job.waiting_hints:
            return Draft(slots=limits.width, why="advice that no draft has seen")
        if not _is_stuck(decision) or spent(history, limits) is not None:
            return decision
        first = advised_at(self.job, history)
        if first is not None and (isinstance(decision, Stop) or self.job.waiting_hints):
            decision = self._since(first, history, limits)
        if not (_is_stuck(decision) and self._may_ask(history, limits)):
            return decision
        match decision:
            case Stop() if settled(decision, history, limits).state is JobState.UNSOLVED:
                return Ask(why=explain(decision))
            case Escalate(why=why):
                return Ask(why=why)
            case _:
                return decision

    def _since(self, first: int, history: Sequence[Iteration], limits: Limits) -> Decision:
        since = tuple(i for i in history if i.number >= first and i.operator not in NOT_LOCAL)
        left = limits.budget.iterations - (len(history) - len(since))
        budget = dataclasses.replace(limits.budget, iterations=left)
        return self.strategy.decide(since, dataclasses.replace(limits, budget=budget, egress=Egress.NEVER))

    def _may_ask(self, history: Sequence[Iteration], limits: Limits) -> bool:
        """Whether a question is left, the last one was answered, and an iteration is left for the answer."""
        asked = sum(iteration.operator is Operator.ASK for iteration in (*self.job.earlier, *history))
        answered = sum(bool(hint.question) for hint in self.job.hints)
        enough = limits.budget.iterations - len(history) >= ASKED_AND_USED
        return self.job.spec.ask and answered == asked < limits.help.questions and enough


def _is_stuck(decision: Decision) -> bool:
    """Whether the strategy sees no further move of the local model's."""
    match decision:
        case Stop():
            return decision.code in NO_FURTHER_MOVE
        case Escalate():
            return True
        case _:
            return False


def advised_at(job: Job, history: Sequence[Iteration]) -> int | None:
    """The first iteration that sees the newest advice of a person, the next one where advice waits; None where nobody
    gave any."""
    if job.waiting_hints:
        return len(job.earlier) + len(history) + 1
    return max(
        (hint.iteration for hint in job.hints if hint.source is HintSource.PERSON and hint.iteration is not None),
        default=None,
    )
