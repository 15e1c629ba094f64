"""What follows from a change of a job's checks: what is checked again first, and that nothing is accepted before."""

from __future__ import annotations

import dataclasses

from tasks.policy import RECHECKED, Correct, LoopRules, Rechecked, Single, is_outdated, limits_of
from tasks.types import (
    Budget,
    Candidate,
    CandidateRef,
    Decision,
    Draft,
    GuardKind,
    Iteration,
    Job,
    Operator,
    Recheck,
    Revise,
    Stop,
    StopCode,
    Verdict,
)
from tests.turns import job_of

RULES = LoopRules(width=2, move_up_after=3, escalate_after=9)


def iteration(number: int, *scores: float, text: str = "try", operator: Operator = Operator.DRAFT) -> Iteration:
    made = []
    for slot, score in enumerate(scores):
        ref = CandidateRef(iteration=number, slot=slot)
        verdict = Verdict(check="answer", kind="answer", passed=score == 1.0, score=score)
        words = f"{text} {number}.{slot}"
        made.append(
            Candidate(
                ref=ref,
                operator=operator,
                text=words,
                root=ref,
                verdicts=(verdict,),
                score=score,
                accepted=score == 1.0,
            )
        )
    return Iteration(number=number, operator=operator, candidates=tuple(made))


def changed(*history: Iteration, earlier: tuple[Iteration, ...] = (), waits: bool = False, iterations: int = 9) -> Job:
    job = job_of(budget=Budget(iterations=iterations))
    return dataclasses.replace(job, history=history, earlier=earlier, new_checks=waits)


def decide(job: Job) -> Decision:
    return Rechecked(strategy=Correct(), job=job).decide(job.history, limits_of(job, RULES))


def refs(*names: tuple[int, int]) -> tuple[CandidateRef, ...]:
    return tuple(CandidateRef(iteration=number, slot=slot) for number, slot in names)


def test_a_job_whose_checks_nobody_changed_is_decided_on_as_it_is() -> None:
    assert isinstance(decide(changed(iteration(1, 0.5))), Revise)
    assert isinstance(decide(changed()), Draft)


def test_the_best_of_before_are_checked_again_first() -> None:
    decision = decide(changed(earlier=(iteration(1, 0.2, 0.9), iteration(2, 0.5))))
    assert decision == Recheck(parents=refs((1, 1), (2, 0), (1, 0)), why="the checks were changed")


def test_what_had_passed_comes_first_and_no_more_than_some_are_checked() -> None:
    decision = decide(changed(earlier=(iteration(1, *[0.1] * 20), iteration(2, 1.0))))
    assert isinstance(decision, Recheck)
    assert decision.parents[0] == CandidateRef(iteration=2, slot=0)
    assert len(decision.parents) == RECHECKED


def test_loops_and_the_same_text_again_are_not_checked() -> None:
    loop = iteration(1, 0.5)
    loop = dataclasses.replace(loop, candidates=(dataclasses.replace(loop.candidates[0], guard=GuardKind.CYCLE),))
    same = iteration(3, 0.5)
    same = dataclasses.replace(same, candidates=(dataclasses.replace(same.candidates[0], text="try 2.0"),))
    decision = decide(changed(earlier=(loop, iteration(2, 0.5), same)))
    assert isinstance(decision, Recheck)
    assert decision.parents == refs((2, 0))


def test_with_nothing_to_check_again_the_strategy_begins_anew() -> None:
    assert isinstance(decide(changed(earlier=(iteration(1),))), Draft)


def test_after_that_the_strategy_sees_what_came_since_alone() -> None:
    again = iteration(3, 0.4, operator=Operator.RECHECK)
    decision = decide(changed(again, earlier=(iteration(1, 0.9), iteration(2, 0.8))))
    assert decision == Revise(parents=refs((3, 0)))


def test_the_iterations_of_before_still_count_towards_the_budget() -> None:
    earlier = (iteration(1, 0.9), iteration(2, 0.8))
    decision = decide(changed(iteration(3, 0.4), earlier=earlier, iterations=3))
    assert decision == Stop(code=StopCode.BUDGET_ITERATIONS, used=3, limit=3)
    assert decide(changed(earlier=earlier, iterations=2)) == Stop(code=StopCode.BUDGET_ITERATIONS, used=2, limit=2)


def test_while_a_change_waits_nothing_is_accepted_and_the_next_iteration_checks_again() -> None:
    waiting = changed(iteration(1, 0.3), iteration(2, 1.0), waits=True)
    assert decide(waiting) == Recheck(parents=refs((2, 0), (1, 0)), why="the checks were changed")


def test_an_acceptance_is_outdated_only_while_a_change_waits() -> None:
    accepted = Stop(code=StopCode.ACCEPTED, detail="1.0")
    waiting = changed(iteration(1, 1.0), waits=True, iterations=1)
    decision = Rechecked(strategy=Single(), job=waiting).decide(waiting.history, limits_of(waiting, RULES))
    assert is_outdated(decision, waiting)
    assert not is_outdated(accepted, changed(iteration(1, 1.0)))
    assert not is_outdated(Stop(code=StopCode.DRAFT_REJECTED), waiting)
