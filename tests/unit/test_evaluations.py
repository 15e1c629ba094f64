"""A budget of evaluations: no move makes more candidates than are left of it, and at its end the job ends."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from tasks.policy import LoopRules, Single, decider, limits_of
from tasks.ports import Decider
from tasks.reasons import explain
from tasks.types import (
    Aggregate,
    Budget,
    Candidate,
    CandidateRef,
    CheckSpec,
    Decision,
    Draft,
    Escalate,
    GuardKind,
    Iteration,
    Job,
    Limits,
    Mutate,
    Operator,
    Probe,
    Recheck,
    Revise,
    Stop,
    StopCode,
    Verdict,
)
from tests.turns import job_of

RULES = LoopRules(width=2, move_up_after=3, escalate_after=9)
REFS = tuple(CandidateRef(iteration=1, slot=slot) for slot in range(5))
SCORE = CheckSpec(name="score", kind="score", value={"command": ["./e", "{candidate}"], "goal": "maximise"})


@dataclass(frozen=True)
class Always:
    """Decides the same each time."""

    decision: Decision

    def decide(self, history: object, limits: Limits) -> Decision:
        return self.decision


def job(evaluations: int | None, *counts: int, earlier: int = 0) -> Job:
    """With iterations of so many checked candidates, and one more of each that the guard cut."""
    history = tuple(iteration(number, count) for number, count in enumerate(counts, 1))
    before = (iteration(1, earlier),) if earlier else ()
    made = job_of(checks=(SCORE,), budget=Budget(evaluations=evaluations))
    return dataclasses.replace(made, history=history, earlier=before)


def iteration(number: int, count: int) -> Iteration:
    verdict = Verdict(check="score", kind="score", passed=False, score=0.0)
    refs = [CandidateRef(iteration=number, slot=slot) for slot in range(count + 1)]
    checked = [Candidate(ref=r, operator=Operator.DRAFT, text="x", root=r, verdicts=(verdict,)) for r in refs[:-1]]
    cut = Candidate(ref=refs[-1], operator=Operator.DRAFT, text="x", root=refs[-1], guard=GuardKind.CYCLE)
    return Iteration(number=number, operator=Operator.DRAFT, candidates=(*checked, cut))


def decide(strategy: Decider, of: Job) -> Decision:
    return decider(strategy, of).decide(of.history, limits_of(of, RULES))


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (Draft(slots=5), Draft(slots=3)),
        (Draft(slots=2), Draft(slots=2)),
        (Aggregate(parents=REFS, slots=4), Aggregate(parents=REFS, slots=3)),
        (Revise(parents=REFS), Revise(parents=REFS[:3])),
        (Recheck(parents=REFS), Recheck(parents=REFS[:3])),
        (
            Mutate(parents=REFS[:2], varied=(REFS[0],), variants=9),
            Mutate(parents=REFS[:2], varied=(REFS[0],), variants=1),
        ),
        (Mutate(parents=REFS[:4], varied=(REFS[0],), variants=9), Mutate(parents=REFS[:3])),
        (Probe(), Probe()),
        (Escalate(), Escalate()),
    ],
)
def test_no_move_makes_more_candidates_than_are_left(move: Decision, expected: Decision) -> None:
    assert decide(Always(move), job(10, 2, 5)) == expected  # type: ignore[arg-type]
    assert decide(Always(move), job(None, 2, 5)) == move  # type: ignore[arg-type]


def test_at_its_end_the_job_ends_whatever_the_strategy_would_do() -> None:
    end = decide(Always(Draft(slots=2)), job(7, 2, 5))  # type: ignore[arg-type]
    assert end == Stop(code=StopCode.BUDGET_EVALUATIONS, used=7, limit=7)
    assert isinstance(end, Stop)
    assert explain(end) == "the budget of 7 evaluations is spent"
    assert decide(Single(), job(1, 1)) == Stop(code=StopCode.DRAFT_REJECTED), "an end of its own comes first"


def test_those_of_before_a_change_of_the_checks_count() -> None:
    assert decide(Always(Draft(slots=9)), job(10, 2, earlier=5)) == Draft(slots=3)  # type: ignore[arg-type]


def test_where_candidates_passed_and_nothing_is_proof_the_choice_among_them_ends_it() -> None:
    check = CheckSpec(name="answer", kind="answer", value={"regex": r"\d"})
    verdict = Verdict(check="answer", kind="answer", passed=True, score=1.0)
    right = Candidate(ref=REFS[0], operator=Operator.DRAFT, text="7", root=REFS[0], verdicts=(verdict,), accepted=True)
    passed = Iteration(number=1, operator=Operator.DRAFT, candidates=(right,))
    of = dataclasses.replace(job_of(checks=(check,), budget=Budget(evaluations=1)), history=(passed,))
    end = decide(Always(Draft(slots=2)), of)  # type: ignore[arg-type]
    assert isinstance(end, Stop)
    assert (end.code, end.detail) == (StopCode.ACCEPTED, "1.0")
