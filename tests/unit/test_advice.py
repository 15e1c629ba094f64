"""What a person's advice changes of a decision: a strategy that would give up begins anew with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tasks.policy import Advised, Correct, Ladder, LoopRules, Single, advised_at, limits_of
from tasks.ports import Strategy
from tasks.types import (
    Ask,
    Budget,
    Candidate,
    CandidateRef,
    CheckSpec,
    Decision,
    Draft,
    Egress,
    Escalate,
    HelpRules,
    Hint,
    HintSource,
    Iteration,
    Job,
    JobSpec,
    Limits,
    Operator,
    Revise,
    Spend,
    Stop,
    StopCode,
    Verdict,
    unstored_job,
)

NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "8"})
RULES = LoopRules(width=2, move_up_after=3, escalate_after=3)


def rejected(number: int, operator: Operator = Operator.DRAFT) -> Iteration:
    ref = CandidateRef(iteration=number, slot=0)
    verdict = Verdict(check="answer", kind="answer", passed=False, score=0.0)
    made = Candidate(ref=ref, operator=operator, text=f"ANSWER: {number}", root=ref, verdicts=(verdict,))
    return Iteration(number=number, operator=operator, candidates=(made,))


def job(*history: Iteration, waiting: int = 0, seen: int | None = None, **fields: object) -> Job:
    spec = JobSpec(title="t", problem="p", checks=(CHECK,), **fields)  # type: ignore[arg-type]
    given = (Hint(source=HintSource.PERSON, text="Count from 1.", by="ada", at=NOON, iteration=seen),)
    return dataclasses.replace(
        unstored_job(spec), history=history, waiting_hints=waiting, hints=given if seen is not None else (), cloud=True
    )


def decide(made: Job, strategy: Strategy) -> Decision:
    return Advised(strategy=strategy, job=made).decide(made.history, limits_of(made, RULES))


def test_without_advice_a_strategy_decides_as_it_does() -> None:
    assert decide(job(rejected(1)), Single()) == Stop(code=StopCode.DRAFT_REJECTED)


def test_a_job_that_would_be_given_up_begins_anew_with_advice() -> None:
    assert isinstance(decide(job(rejected(1), waiting=1), Single()), Draft)


def test_advice_has_its_iterations_and_no_more() -> None:
    assert isinstance(decide(job(rejected(1), seen=2), Single()), Draft)
    assert decide(job(rejected(1), rejected(2), seen=2), Single()) == Stop(code=StopCode.DRAFT_REJECTED)


def test_the_rejected_answer_of_the_cloud_is_not_the_end_where_advice_came_after_it() -> None:
    history = (rejected(1), rejected(2), rejected(3, Operator.ESCALATE))
    assert decide(job(*history, egress=Egress.FULL), Ladder()) == Stop(code=StopCode.CLOUD_REJECTED)
    assert isinstance(decide(job(*history, waiting=1, egress=Egress.FULL), Ladder()), Draft)


@pytest.mark.parametrize("strategy", [Correct(), Ladder(first=2)])
def test_advice_is_drafted_with_before_anything_is_revised(strategy: Strategy) -> None:
    history = (rejected(1), rejected(2))
    assert isinstance(decide(job(*history), strategy), Revise)
    assert decide(job(*history, waiting=1), strategy) == Draft(slots=2, why="advice that no draft has seen")
    assert isinstance(decide(job(*history, rejected(3), seen=3), strategy), Revise)


class Asking:
    """Asks the cloud as soon as a draft was rejected."""

    name = "asking"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        return Escalate() if history and limits.egress is Egress.FULL else Draft(slots=1)


def test_advice_that_waits_comes_before_the_cloud_and_advice_that_was_seen_does_not() -> None:
    history = (rejected(1), rejected(2), rejected(3))
    assert isinstance(decide(job(*history, egress=Egress.FULL), Asking()), Escalate)
    assert isinstance(decide(job(*history, waiting=1, egress=Egress.FULL), Asking()), Draft)
    assert isinstance(decide(job(*history, seen=2, egress=Egress.FULL), Asking()), Escalate)


@pytest.mark.parametrize(
    "budget", [Budget(iterations=1), Budget(tokens=5), Budget(hours=0.0)], ids=["iterations", "tokens", "hours"]
)
def test_advice_buys_no_more_than_the_budget(budget: Budget) -> None:
    made = dataclasses.replace(job(rejected(1), waiting=1, budget=budget), spend=Spend(usd=Decimal(0), local_tokens=9))
    assert decide(made, Single()) == Stop(code=StopCode.DRAFT_REJECTED)


def test_the_iterations_before_advice_still_count_towards_the_budget() -> None:
    made = job(rejected(1), rejected(2), seen=2, budget=Budget(iterations=3))
    assert not isinstance(decide(made, Correct()), Stop)
    spent = dataclasses.replace(made, history=(*made.history, rejected(3)))
    assert decide(spent, Correct()) == Stop(code=StopCode.BUDGET_ITERATIONS, used=3, limit=3)


def test_the_newest_advice_counts_and_that_of_the_cloud_does_not() -> None:
    by_cloud = Hint(source=HintSource.CLOUD, text="x", by="gpt", at=NOON, iteration=3)
    made = job(rejected(1), rejected(2), rejected(3), seen=2)
    assert advised_at(dataclasses.replace(made, hints=(*made.hints, by_cloud)), made.history) == 2
    assert advised_at(dataclasses.replace(made, waiting_hints=1), made.history) == 4
    assert advised_at(job(rejected(1)), ()) is None


def asks(made: Job, strategy: Strategy) -> bool:
    return isinstance(decide(made, strategy), Ask)


def asked(number: int) -> Iteration:
    return Iteration(number=number, operator=Operator.ASK, candidates=())


def answered(made: Job, iteration: int) -> Job:
    hint = Hint(source=HintSource.PERSON, text="From 1.", by="ada", at=NOON, question="From?", iteration=iteration)
    return dataclasses.replace(made, hints=(*made.hints, hint))


def test_a_job_that_may_ask_does_so_before_it_is_given_up_or_asks_the_cloud() -> None:
    assert decide(job(rejected(1), ask=True), Single()) == Ask(why="its one draft was not accepted")
    assert asks(job(rejected(1), ask=True, egress=Egress.FULL), Asking())
    assert not asks(job(rejected(1), egress=Egress.FULL), Asking())


def test_it_asks_nothing_while_the_local_model_has_a_move_or_advice_waits() -> None:
    assert isinstance(decide(job(ask=True), Single()), Draft)
    assert isinstance(decide(job(rejected(1), waiting=1, ask=True), Single()), Draft)


def test_a_question_that_was_not_answered_is_the_last() -> None:
    history = (rejected(1), asked(2))
    assert decide(job(*history, ask=True), Single()) == Stop(code=StopCode.DRAFT_REJECTED)
    assert isinstance(decide(job(*history, ask=True, egress=Egress.FULL), Asking()), Escalate)


def test_it_asks_again_where_the_answer_did_not_help_up_to_the_limit() -> None:
    once = answered(job(rejected(1), asked(2), rejected(3), ask=True), 3)
    assert asks(once, Single())
    twice = answered(dataclasses.replace(once, history=(*once.history, asked(4), rejected(5))), 5)
    assert decide(twice, Single()) == Stop(code=StopCode.DRAFT_REJECTED)


def test_it_asks_only_where_an_iteration_is_left_for_the_answer() -> None:
    assert asks(job(rejected(1), ask=True, budget=Budget(iterations=3)), Single())
    assert not asks(job(rejected(1), ask=True, budget=Budget(iterations=2)), Single())


def test_the_number_of_questions_is_a_setting() -> None:
    made = job(rejected(1), ask=True)
    none = dataclasses.replace(limits_of(made, RULES), help=HelpRules(questions=0))
    assert Advised(strategy=Single(), job=made).decide(made.history, none) == Stop(code=StopCode.DRAFT_REJECTED)


@pytest.mark.parametrize("operator", [Operator.ASK, Operator.ESCALATE, Operator.HINT])
def test_advice_that_no_author_has_seen_yet_is_not_used_up(operator: Operator) -> None:
    other = dataclasses.replace(rejected(2), operator=operator)
    assert isinstance(decide(job(rejected(1), other, seen=2), Single()), Draft)
