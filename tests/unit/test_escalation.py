"""The steps of an escalation over doubles of ledger and cloud: what is committed, sent and charged, in which order."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from decimal import Decimal

import pytest

from tasks.crashpoints import CrashPoint, armed
from tasks.deadline import Deadline
from tasks.errors import Cancelled, LimitReached
from tasks.escalation import HOURS_OVER, NoCloud
from tasks.llm.prices import most_tokens
from tasks.prompts import build
from tasks.prompts import help as help_prompts
from tasks.types import (
    CloudAnswer,
    CloudEnd,
    Completion,
    Egress,
    EscalationKind,
    EscalationState,
    Usage,
)
from tests.advisers import ENGINE
from tests.escalations import (
    ANSWER,
    FULL,
    ID,
    LOOP,
    NUMBER,
    PLAN,
    PRICES,
    USAGE,
    Cloud,
    Ledger,
    escalation,
    over,
    record,
    turn,
    unsent,
)
from tests.turns import StoppedClock, job_of, turn_of


def test_without_a_cloud_there_is_no_answer() -> None:
    assert NoCloud().answer(turn(), NUMBER) is None


@pytest.mark.parametrize("egress", [Egress.NEVER, Egress.HINT])
def test_a_job_that_must_not_leave_is_neither_reserved_nor_sent(egress: Egress) -> None:
    ledger, cloud = Ledger(), Cloud()
    assert escalation(ledger, cloud).answer(turn(egress=egress), NUMBER) is None
    assert (ledger.writes, cloud.sent) == ([], [])


@pytest.mark.parametrize("kind", [EscalationKind.HINT, EscalationKind.HINT_ON_BEST])
def test_a_hint_is_asked_for_on_terms_of_its_own_and_reserved_by_its_own_bound(kind: EscalationKind) -> None:
    ledger, cloud = Ledger(), Cloud()
    completion = escalation(ledger, cloud).answer(turn(egress=Egress.HINT), NUMBER, kind)
    assert completion is not None
    assert ledger.record is not None
    plan, body = ledger.record.plan, json.loads(ledger.record.plan.request)
    assert (plan.kind, plan.completion_tokens) == (kind, 300)
    assert (body["max_output_tokens"], body["reasoning"], body["input"]) == (
        300,
        {"effort": "low"},
        help_prompts.ask(job_of(egress=Egress.HINT), kind)[1].content,
    )
    most = Usage(prompt_tokens=plan.prompt_tokens, cached_tokens=0, completion_tokens=300)
    assert plan.usd == PRICES.cost(most)
    assert cloud.sent == [(plan.request, kind, Egress.HINT)]


@pytest.mark.parametrize("kind", EscalationKind)
def test_nothing_is_sent_beyond_what_the_operator_allows(kind: EscalationKind) -> None:
    ledger, cloud = Ledger(), Cloud()
    limited = replace(escalation(ledger, cloud), egress=Egress.HINT)
    limited.answer(turn(egress=Egress.FULL), NUMBER, kind)
    assert bool(cloud.sent) is kind.is_hint


def test_a_request_is_reserved_sent_identified_and_settled_in_this_order() -> None:
    ledger, cloud, passed = Ledger(), Cloud(), list[tuple[CrashPoint, int]]()
    with armed(lambda point: passed.append((point, len(ledger.writes)))):
        completion = escalation(ledger, cloud).answer(turn(), NUMBER)
    assert completion is not None
    assert completion.text == "ANSWER: 42"
    assert ledger.writes == ["intend", "identify", "settle"]
    assert passed == [
        (CrashPoint.INTENDED, 1),
        (CrashPoint.POSTED, 1),
        (CrashPoint.IDENTIFIED, 2),
        (CrashPoint.ANSWERED, 2),
        (CrashPoint.SETTLED, 3),
    ]
    assert ledger.settled == (EscalationState.DONE, "")
    assert ledger.record is not None
    assert cloud.sent == [(ledger.record.plan.request, EscalationKind.ANSWER, Egress.FULL)]
    assert ledger.record.response_id == ID


def test_secrets_of_a_problem_are_taken_out_before_anything_is_stored_or_sent() -> None:
    ledger, cloud = Ledger(), Cloud()
    problem = "Why does postgresql://ada:h4rd@db/x refuse me?"
    escalation(ledger, cloud).answer(turn_of(job_of(egress=Egress.FULL, problem=problem)), NUMBER)
    assert ledger.record is not None
    ((sent, *_),) = cloud.sent
    assert "h4rd" not in sent
    assert "[redacted: password in an address]" in sent
    assert sent == ledger.record.plan.request
    assert ledger.record.plan.usd == PRICES.cost(
        Usage(prompt_tokens=ledger.record.plan.prompt_tokens, cached_tokens=0, completion_tokens=1000)
    )


def test_the_plan_is_the_prompt_of_the_job_at_its_costliest() -> None:
    ledger = Ledger()
    escalation(ledger, Cloud()).answer(turn(), NUMBER)
    assert ledger.record is not None
    plan, (system, user) = ledger.record.plan, build.escalate(FULL)
    body = json.loads(plan.request)
    assert (body["instructions"], body["input"], body["model"]) == (system.content, user.content, "gpt-5.4")
    assert (plan.model, plan.completion_tokens) == ("gpt-5.4", 1000)
    assert plan.prompt_tokens == most_tokens(system.content + user.content)
    most = Usage(prompt_tokens=plan.prompt_tokens, cached_tokens=0, completion_tokens=1000)
    assert plan.usd == PRICES.cost(most)


def test_the_cache_key_groups_a_jobs_requests_and_tells_nothing_of_it() -> None:
    ledger = Ledger()
    escalation(ledger, Cloud()).answer(turn(), NUMBER)
    assert ledger.record is not None
    key = json.loads(ledger.record.plan.request)["prompt_cache_key"]
    assert key == hashlib.sha256(b"alice:1:t").hexdigest()[:32]


def test_a_request_that_the_budget_cannot_pay_is_not_sent() -> None:
    ledger, cloud = Ledger(refuse=True), Cloud()
    assert escalation(ledger, cloud).answer(turn(), NUMBER) is None
    assert (ledger.writes, cloud.sent) == (["intend"], [])


def test_after_the_jobs_hours_nothing_new_is_reserved() -> None:
    ledger, cloud = Ledger(), Cloud()
    with pytest.raises(LimitReached, match="hours"):
        escalation(ledger, cloud).answer(turn(over()), NUMBER)
    assert (ledger.writes, cloud.sent) == ([], [])


def test_a_settled_escalation_is_read_from_the_ledger() -> None:
    first = Ledger()
    completion = escalation(first, Cloud()).answer(turn(), NUMBER)
    ledger, cloud = Ledger(record(EscalationState.DONE, open=False, completion=completion)), Cloud()
    assert escalation(ledger, cloud).answer(turn(), NUMBER) is completion
    assert (ledger.writes, cloud.sent, cloud.attached) == ([], [], [])


def test_a_running_response_is_attached_to_by_its_id() -> None:
    ledger, cloud = Ledger(record()), Cloud()
    completion = escalation(ledger, cloud).answer(turn(), NUMBER)
    assert completion is not None
    assert (cloud.attached, cloud.sent, ledger.writes) == ([ID], [], ["settle"])


def test_an_intent_without_an_id_is_never_sent_again_and_charged_whole() -> None:
    ledger, cloud = Ledger(record(EscalationState.INTENT, response_id=None)), Cloud()
    assert escalation(ledger, cloud).answer(turn(), NUMBER) is None
    assert (cloud.sent, cloud.attached) == ([], [])
    assert ledger.settled is not None
    state, error = ledger.settled
    assert state is EscalationState.UNKNOWN
    assert "may have been received" in error
    assert ledger.charged is not None
    assert ledger.charged.usd == PLAN.usd


def test_a_running_record_without_an_id_is_lost_too() -> None:
    ledger, cloud = Ledger(record(response_id=None)), Cloud()
    assert escalation(ledger, cloud).answer(turn(), NUMBER) is None
    assert cloud.attached == []
    assert ledger.settled is not None
    assert ledger.settled[0] is EscalationState.UNKNOWN


def test_an_unsent_request_is_intended_again_and_sent_as_it_was_planned() -> None:
    ledger, cloud = Ledger(unsent()), Cloud()
    assert escalation(ledger, cloud).answer(turn(), NUMBER) is not None
    assert ledger.writes == ["intend again", "identify", "settle"]
    assert cloud.sent == [(PLAN.request, EscalationKind.ANSWER, Egress.FULL)]


def test_an_unsent_request_is_given_up_after_the_jobs_hours() -> None:
    ledger, cloud = Ledger(unsent()), Cloud()
    assert escalation(ledger, cloud).answer(turn(over()), NUMBER) is None
    assert (ledger.writes, ledger.held_back, cloud.sent) == (["hold back"], HOURS_OVER, [])


@pytest.mark.parametrize("attached", [True, False])
def test_the_clouds_heartbeat_ends_with_the_jobs_hours(attached: bool) -> None:
    clock = StoppedClock()
    cloud = Cloud()
    deadline = Deadline(at=clock.now + 1, hours=2.0, clock=clock)
    escalation(Ledger(record() if attached else unsent()), cloud).answer(turn(deadline), NUMBER)
    (heartbeat,) = cloud.heartbeats
    heartbeat.check()
    clock.now += 1
    with pytest.raises(LimitReached, match="hours"):
        heartbeat.check()


def test_a_cancelled_job_cancels_its_response_and_pays_what_it_cost() -> None:
    cancelled = CloudAnswer(end=CloudEnd.CANCELLED, usage=USAGE, error="stopped")
    ledger, cloud = Ledger(), Cloud(Cancelled("by its owner"), cancelled)
    with pytest.raises(Cancelled):
        escalation(ledger, cloud).answer(turn(), NUMBER)
    assert (cloud.cancels, ledger.settled) == ([ID], (EscalationState.FAILED, "stopped"))
    assert ledger.charged is not None
    assert ledger.charged.usd == PRICES.cost(USAGE)


def test_a_job_that_is_cancelled_before_the_id_came_is_charged_whole() -> None:
    ledger, cloud = Ledger(unsent()), Cloud(Cancelled("by its owner"))
    cloud.identifies = False
    with pytest.raises(Cancelled):
        escalation(ledger, cloud).answer(turn(), NUMBER)
    assert cloud.cancels == []
    assert ledger.settled is not None
    state, error = ledger.settled
    assert state is EscalationState.UNKNOWN
    assert error == "cancelled by its owner before the cloud's id was known"
    assert ledger.charged is not None
    assert ledger.charged.usd == PLAN.usd


def test_an_answer_that_was_whole_when_the_hours_ended_counts() -> None:
    ledger, cloud = Ledger(record()), Cloud(LimitReached("hours", 2, 2))
    completion = escalation(ledger, cloud).answer(turn(), NUMBER)
    assert completion is not None
    assert completion.text == "ANSWER: 42"
    assert (cloud.cancels, ledger.settled) == ([ID], (EscalationState.DONE, ""))


def test_hours_that_end_before_there_is_an_answer_end_the_turn() -> None:
    cancelled = CloudAnswer(end=CloudEnd.CANCELLED, error="stopped")
    ledger, cloud = Ledger(record()), Cloud(LimitReached("hours", 2, 2), cancelled)
    with pytest.raises(LimitReached, match="hours"):
        escalation(ledger, cloud).answer(turn(), NUMBER)
    assert ledger.settled == (EscalationState.FAILED, "stopped")


def test_hours_that_end_before_the_id_came_say_so() -> None:
    ledger, cloud = Ledger(unsent()), Cloud(LimitReached("hours", 2, 2))
    cloud.identifies = False
    with pytest.raises(LimitReached, match="hours"):
        escalation(ledger, cloud).answer(turn(), NUMBER)
    assert ledger.settled == (EscalationState.UNKNOWN, f"{HOURS_OVER} before the cloud's id was known")


@pytest.mark.parametrize(
    ("answer", "state", "error"),
    [
        (replace(ANSWER, text=" \n"), EscalationState.FAILED, "it brought no text"),
        (replace(ANSWER, end=CloudEnd.FAILED, error="broke"), EscalationState.FAILED, "broke"),
        (replace(ANSWER, end=CloudEnd.INCOMPLETE, error="cut"), EscalationState.FAILED, "cut"),
        (replace(ANSWER, end=CloudEnd.REJECTED, error="401"), EscalationState.FAILED, "401"),
        (replace(ANSWER, end=CloudEnd.LOST, error="gone"), EscalationState.UNKNOWN, "gone"),
    ],
)
def test_any_other_end_is_no_answer(answer: CloudAnswer, state: EscalationState, error: str) -> None:
    ledger = Ledger()
    assert escalation(ledger, Cloud(answer)).answer(turn(), NUMBER) is None
    assert ledger.settled == (state, error)


def settled(answer: CloudAnswer) -> Completion:
    """The completion that is charged for `answer` to a request of the plan."""
    ledger = Ledger(record())
    escalation(ledger, Cloud(answer)).answer(turn(), NUMBER)
    assert ledger.charged is not None
    return ledger.charged


def test_an_answer_is_charged_by_the_usage_that_the_cloud_reports() -> None:
    assert settled(ANSWER) == Completion(
        text="ANSWER: 42",
        finish_reason="stop",
        model="gpt-5.4-2026",
        prompt_tokens=100,
        cached_tokens=40,
        completion_tokens=30,
        seconds=2.5,
        usd=PRICES.cost(USAGE),
        engine=ENGINE,
    )


def test_a_request_that_was_not_taken_costs_nothing() -> None:
    completion = settled(CloudAnswer(end=CloudEnd.REJECTED, error="401"))
    assert (completion.usd, completion.finish_reason, completion.model) == (Decimal(0), "rejected", "planned")
    assert (completion.prompt_tokens, completion.cached_tokens, completion.completion_tokens) == (0, 0, 0)


def test_an_answer_without_usage_costs_its_whole_reservation() -> None:
    completion = settled(replace(ANSWER, usage=None))
    assert completion.usd == PLAN.usd
    assert (completion.prompt_tokens, completion.cached_tokens, completion.completion_tokens) == (900, 0, 800)


def test_an_answer_that_falls_into_a_loop_is_cut_back_to_before_it() -> None:
    completion = settled(replace(ANSWER, text=LOOP + 20 * LOOP.partition("\n")[2]))
    assert (completion.text, completion.finish_reason) == ("A good start:\n", "guard")
    assert completion.guard is not None
    assert completion.guard.at_char == len("A good start:\n")
