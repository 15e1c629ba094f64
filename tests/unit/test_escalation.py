"""The steps of an escalation over doubles of ledger and cloud: what is committed, sent and charged, in which order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tasks.advisers import Adviser, Offer
from tasks.crashpoints import CrashPoint, armed
from tasks.deadline import NO_DEADLINE, Deadline
from tasks.errors import Cancelled, CloudFault, CloudUnreached, CloudWaits, LimitReached
from tasks.escalation import HOURS_OVER, Escalation, NoCloud
from tasks.llm.prices import Prices, most_tokens
from tasks.llm.responsebody import CloudTerms
from tasks.ports import Heartbeat
from tasks.prompts import build
from tasks.prompts import help as help_prompts
from tasks.turn import Turn
from tasks.types import (
    Claim,
    CloudAnswer,
    CloudEnd,
    CloudPlan,
    Completion,
    Egress,
    EscalationKind,
    EscalationRecord,
    EscalationState,
    Health,
    Usage,
)
from tasks.waits import WaitRules
from tests.advisers import ENGINE, one_api
from tests.turns import CLAIM, StoppedClock, job_of, turn_of

NUMBER = 3
ID = "resp_1"
TERMS = CloudTerms(model="gpt-5.4", effort="high", output_tokens=1000)
HINT_TERMS = CloudTerms(model="gpt-5.4", effort="low", output_tokens=300)
PRICES = Prices(prompt=Decimal(2), cached=Decimal(1), completion=Decimal(10))
USAGE = Usage(prompt_tokens=100, cached_tokens=40, completion_tokens=30)
ANSWER = CloudAnswer(end=CloudEnd.COMPLETED, model="gpt-5.4-2026", text="ANSWER: 42", usage=USAGE, seconds=2.5)
PLAN = CloudPlan(model="planned", request="{}", usd=Decimal("0.5"), prompt_tokens=900, completion_tokens=800)
FULL = job_of(egress=Egress.FULL)
LOOP = "A good start:\n" + "And so it goes on. " * 200
FAULT_CAP = 3
WAITS = WaitRules(tries=3, seconds=600.0)
CIRCUIT = "the circuit of cloud.example is open: no route"
BUSY = CloudAnswer(end=CloudEnd.BUSY, error="429", health=Health.FAULT, retry_seconds=20.0)


class Ledger:
    """Implements `EscalationLedger` for one escalation; keeps the names of its writes."""

    def __init__(
        self, record: EscalationRecord | None = None, *, refuse: bool = False, circuit_seconds: float = 0.0
    ) -> None:
        self.record, self.refuse, self.circuit_seconds = record, refuse, circuit_seconds
        self.writes: list[str] = []
        self.held_back: str | None = None
        self.postponed: tuple[str, float, bool] | None = None
        self.settled: tuple[EscalationState, str] | None = None
        self.charged: Completion | None = None
        self.health: Health | None = None

    def find(self, claim: Claim, number: int) -> EscalationRecord | None:
        assert (claim, number) == (CLAIM, NUMBER)
        return self.record

    def intend(self, claim: Claim, number: int, plan: CloudPlan) -> EscalationRecord:
        self._write("intend", claim, number)
        state = EscalationState.REFUSED if self.refuse else EscalationState.INTENT
        self.record = EscalationRecord(plan=plan, state=state, open=not self.refuse, tries=1)
        return self._admitted()

    def intend_again(self, claim: Claim, number: int) -> EscalationRecord:
        self._write("intend again", claim, number)
        assert self.record is not None
        self.record = replace(self.record, state=EscalationState.INTENT, tries=self.record.tries + 1)
        return self._admitted()

    def _admitted(self) -> EscalationRecord:
        assert self.record is not None
        if self.circuit_seconds:
            self.record = replace(
                self.record,
                state=EscalationState.UNSENT,
                tries=self.record.tries - 1,
                wait_seconds=self.circuit_seconds,
                error=CIRCUIT,
            )
        return self.record

    def fall_through(self, claim: Claim, number: int, plan: CloudPlan) -> EscalationRecord:
        self._write("fall through", claim, number)
        self.record = EscalationRecord(plan=plan, state=EscalationState.UNSENT, open=True)
        return self.record

    def postpone(self, claim: Claim, number: int, why: str, seconds: float, health: Health, *, refused: bool) -> None:
        self._write("postpone", claim, number)
        self.postponed, self.health = (why, seconds, refused), health

    def hold_back(self, claim: Claim, number: int, why: str, health: Health = Health.UNKNOWN) -> None:
        self._write("hold back", claim, number)
        self.held_back, self.health = why, health

    def identify(self, claim: Claim, number: int, response_id: str) -> None:
        self._write("identify", claim, number)
        assert self.record is not None
        self.record = replace(self.record, response_id=response_id)

    def settle(
        self,
        claim: Claim,
        number: int,
        state: EscalationState,
        completion: Completion,
        error: str = "",
        health: Health = Health.UNKNOWN,
    ) -> None:
        self._write("settle", claim, number)
        self.settled, self.charged, self.health = (state, error), completion, health

    def _write(self, name: str, claim: Claim, number: int) -> None:
        assert (claim, number) == (CLAIM, NUMBER)
        self.writes.append(name)


class Cloud:
    """Implements `CloudModel`: gives its `response`, raised where it is an error; keeps what it is sent."""

    provider = "cloud.example"

    def __init__(self, response: CloudAnswer | Exception = ANSWER, cancelled: CloudAnswer = ANSWER) -> None:
        self.response, self.cancelled = response, cancelled
        self.sent: list[tuple[str, EscalationKind, Egress]] = []
        self.attached: list[str] = []
        self.cancels: list[str] = []
        self.heartbeats: list[Heartbeat] = []
        self.identifies = True
        self.served: frozenset[str] | None = None
        self.asked_for_models = 0

    def start(
        self,
        request: str,
        egress: Egress,
        on_id: Callable[[str], None],
        heartbeat: Heartbeat,
        kind: EscalationKind = EscalationKind.ANSWER,
    ) -> CloudAnswer:
        self.sent.append((request, kind, egress))
        self.heartbeats.append(heartbeat)
        if self.identifies:
            on_id(ID)
        return self._respond()

    def models(self, heartbeat: Heartbeat) -> frozenset[str] | None:
        self.asked_for_models += 1
        return self.served

    def attach(self, response_id: str, heartbeat: Heartbeat) -> CloudAnswer:
        self.attached.append(response_id)
        self.heartbeats.append(heartbeat)
        return self._respond()

    def cancel(self, response_id: str) -> CloudAnswer:
        self.cancels.append(response_id)
        return self.cancelled

    def _respond(self) -> CloudAnswer:
        if isinstance(self.response, Exception):
            raise self.response
        return self.response


def escalation(ledger: Ledger, cloud: Cloud, waits: WaitRules = WAITS) -> Escalation:
    advisers = one_api(cloud, TERMS, HINT_TERMS, PRICES)
    return Escalation(ledger=ledger, advisers=advisers, fault_cap=FAULT_CAP, waits=waits)


def turn(deadline: Deadline = NO_DEADLINE, egress: Egress = Egress.FULL) -> Turn:
    return turn_of(job_of(egress=egress), deadline=deadline)


def over() -> Deadline:
    """A deadline that has passed."""
    clock = StoppedClock()
    return Deadline(at=clock.now - 1, hours=2.0, clock=clock)


def record(state: EscalationState = EscalationState.RUNNING, **fields: Any) -> EscalationRecord:
    return EscalationRecord(**{"plan": PLAN, "state": state, "open": True, "response_id": ID, **fields})


def unsent(**fields: Any) -> EscalationRecord:
    return record(EscalationState.UNSENT, **{"response_id": None, "tries": 1, **fields})


def refused(**fields: Any) -> EscalationRecord:
    """One that the provider did not take."""
    return record(EscalationState.WAITING, **{"response_id": None, "tries": 1, "refusals": 1, "error": "429", **fields})


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


def test_a_cloud_out_of_reach_waits_for_another_turn() -> None:
    ledger, cloud = Ledger(unsent()), Cloud(CloudUnreached("no route"))
    cloud.identifies = False
    with pytest.raises(CloudWaits, match="no route") as waits:
        escalation(ledger, cloud).answer(turn(), NUMBER)
    assert ledger.postponed == ("no route", waits.value.seconds, False)
    assert (ledger.writes, ledger.settled, ledger.health) == (["intend again", "postpone"], None, Health.FAULT)


def test_a_turn_that_ended_before_it_had_sent_anything_says_nothing_of_the_provider() -> None:
    ledger, cloud = Ledger(), Cloud(CloudUnreached("drained", stopped=True))
    cloud.identifies = False
    with pytest.raises(CloudWaits):
        escalation(ledger, cloud).answer(turn(), NUMBER)
    assert ledger.health is Health.UNKNOWN


def test_a_cloud_that_stays_out_of_reach_is_given_up_and_nothing_is_charged() -> None:
    ledger, cloud = Ledger(unsent(tries=2)), Cloud(CloudUnreached("no route"))
    cloud.identifies = False
    assert escalation(ledger, cloud).answer(turn(), NUMBER) is None
    assert (ledger.held_back, ledger.settled) == ("no route; it was tried 3 times", None)
    assert ledger.health is Health.FAULT


def test_a_cloud_out_of_reach_when_the_hours_end_is_not_tried_again() -> None:
    clock = StoppedClock()
    deadline = Deadline(at=clock.now + 1, hours=2.0, clock=clock)

    class Slow(Cloud):
        def start(self, *arguments: Any) -> CloudAnswer:
            clock.now += 1
            raise CloudUnreached("no route")

    ledger = Ledger(unsent())
    assert escalation(ledger, Slow()).answer(turn(deadline), NUMBER) is None
    assert ledger.held_back is not None
    assert "hours" in ledger.held_back


def test_what_the_provider_did_not_take_waits_as_long_as_it_says() -> None:
    ledger, cloud, passed = Ledger(), Cloud(BUSY), list[CrashPoint]()
    cloud.identifies = False
    with armed(passed.append), pytest.raises(CloudWaits) as waits:
        escalation(ledger, cloud).answer(turn(), NUMBER)
    assert 20 <= waits.value.seconds <= 24
    assert ledger.postponed == ("429", waits.value.seconds, True)
    assert (ledger.writes, ledger.health) == (["intend", "postpone"], Health.FAULT)
    assert passed == [CrashPoint.INTENDED, CrashPoint.POSTPONED]


def test_a_response_that_was_never_run_waits_though_it_had_an_id() -> None:
    ledger, cloud = Ledger(record(tries=1)), Cloud(BUSY)
    with pytest.raises(CloudWaits):
        escalation(ledger, cloud).answer(turn(), NUMBER)
    assert (cloud.attached, ledger.writes) == ([ID], ["postpone"])


def test_before_its_time_nothing_is_sent_and_nothing_is_written() -> None:
    ledger, cloud = Ledger(refused(wait_seconds=12.5)), Cloud()
    with pytest.raises(CloudWaits, match="429") as waits:
        escalation(ledger, cloud).answer(turn(), NUMBER)
    assert (waits.value.seconds, ledger.writes, cloud.sent) == (12.5, [], [])


def test_at_its_time_the_same_request_is_sent_again() -> None:
    ledger, cloud = Ledger(refused()), Cloud()
    assert escalation(ledger, cloud).answer(turn(), NUMBER) is not None
    assert ledger.writes == ["intend again", "identify", "settle"]
    assert cloud.sent == [(PLAN.request, EscalationKind.ANSWER, Egress.FULL)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tries": 2}, "429; it was tried 3 times"),
        ({"waited_seconds": 595.0}, "429; it would have waited"),
    ],
)
def test_a_provider_that_stays_busy_is_given_up_and_nothing_is_charged(fields: dict[str, Any], said: str) -> None:
    ledger, cloud = Ledger(refused(**fields)), Cloud(BUSY)
    cloud.identifies = False
    assert escalation(ledger, cloud).answer(turn(), NUMBER) is None
    assert ledger.settled is not None
    state, error = ledger.settled
    assert (state, ledger.postponed) == (EscalationState.FAILED, None)
    assert error.startswith(said)
    assert ledger.charged is not None
    assert (ledger.charged.usd, ledger.charged.completion_tokens) == (Decimal(0), 0)


def test_a_provider_that_was_busy_and_is_then_out_of_reach_has_been_sent_the_request() -> None:
    """So it ends as failed, not as unsent, and `redraft egress` shows it."""
    ledger, cloud = Ledger(refused(tries=2)), Cloud(CloudUnreached("no route"))
    cloud.identifies = False
    assert escalation(ledger, cloud).answer(turn(), NUMBER) is None
    assert ledger.settled == (EscalationState.FAILED, "no route; it was tried 3 times")


def test_a_wait_that_would_outlast_the_jobs_hours_is_not_begun() -> None:
    clock = StoppedClock()
    ledger, cloud = Ledger(refused()), Cloud(BUSY)
    cloud.identifies = False
    deadline = Deadline(at=clock.now + 15, hours=2.0, clock=clock)
    assert escalation(ledger, cloud).answer(turn(deadline), NUMBER) is None
    assert ledger.settled == (EscalationState.FAILED, "429; the job's hours end before it may be sent again")


def test_a_request_that_waits_when_the_hours_are_over_ends_uncharged() -> None:
    ledger, cloud = Ledger(refused(wait_seconds=5.0)), Cloud()
    assert escalation(ledger, cloud).answer(turn(over()), NUMBER) is None
    assert (ledger.settled, cloud.sent) == ((EscalationState.FAILED, HOURS_OVER), [])
    assert ledger.charged is not None
    assert ledger.charged.usd == 0


@pytest.mark.parametrize("stored", [None, unsent(), refused()])
def test_an_open_circuit_keeps_a_request_back(stored: EscalationRecord | None) -> None:
    ledger, cloud, passed = Ledger(stored, circuit_seconds=30.0), Cloud(), list[CrashPoint]()
    with armed(passed.append), pytest.raises(CloudWaits, match="circuit") as waits:
        escalation(ledger, cloud).answer(turn(), NUMBER)
    assert (waits.value.seconds, cloud.sent, passed) == (30.0, [], [])
    assert ledger.writes == ["intend again" if stored else "intend"]


@pytest.mark.parametrize(("stored", "state"), [(None, "unsent"), (refused(), "failed")])
def test_a_deployment_may_have_its_jobs_go_on_without_a_provider_that_is_away(
    stored: EscalationRecord | None, state: str
) -> None:
    ledger, cloud = Ledger(stored, circuit_seconds=30.0), Cloud()
    local = WaitRules(tries=3, seconds=600.0, local=True)
    assert escalation(ledger, cloud, local).answer(turn(), NUMBER) is None
    said = f"{CIRCUIT}; the job goes on without it"
    assert cloud.sent == []
    if state == "unsent":
        assert (ledger.held_back, ledger.settled) == (said, None)
    else:
        assert ledger.settled == (EscalationState.FAILED, said)


def test_the_circuit_hears_how_a_request_has_ended() -> None:
    for answer, health in [
        (ANSWER, Health.WELL),
        (replace(ANSWER, end=CloudEnd.REJECTED, health=Health.UNUSABLE), Health.UNUSABLE),
        (replace(ANSWER, end=CloudEnd.LOST, health=Health.FAULT), Health.FAULT),
    ]:
        ledger = Ledger()
        escalation(ledger, Cloud(answer)).answer(turn(), NUMBER)
        assert ledger.health is health


def test_a_turn_that_was_killed_says_nothing_of_the_provider() -> None:
    ledger = Ledger(record(EscalationState.INTENT, response_id=None))
    escalation(ledger, Cloud()).answer(turn(), NUMBER)
    assert ledger.health is Health.UNKNOWN


def test_a_response_that_cannot_be_fetched_is_a_fault_for_a_later_turn() -> None:
    ledger = Ledger(record(faults=1))
    with pytest.raises(CloudFault, match="away"):
        escalation(ledger, Cloud(CloudFault("away"))).answer(turn(), NUMBER)
    assert ledger.writes == []


def test_a_response_that_cannot_be_fetched_too_often_is_given_up_and_charged_whole() -> None:
    ledger = Ledger(record(faults=2))
    assert escalation(ledger, Cloud(CloudFault("away"))).answer(turn(), NUMBER) is None
    assert ledger.settled is not None
    state, error = ledger.settled
    assert state is EscalationState.UNKNOWN
    assert "given up" in error
    assert "away" in error
    assert ledger.charged is not None
    assert (ledger.charged.usd, ledger.charged.finish_reason) == (PLAN.usd, "lost")


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


def ladder(cloud: Cloud, *models: str) -> Adviser:
    """An adviser with these models, each half the price of the one before."""
    prices = [Prices(prompt=Decimal(8) / 2**n, cached=Decimal(0), completion=Decimal(8) / 2**n) for n in range(9)]
    offers = [
        Offer(terms=replace(TERMS, model=model), prices=price) for model, price in zip(models, prices, strict=False)
    ]
    return Adviser(api=cloud, offers=offers, engine=ENGINE)


class Retiring(Cloud):
    """Has only some models."""

    def __init__(self, *left: str) -> None:
        super().__init__()
        self.left = left

    def start(self, request: str, *arguments: Any) -> CloudAnswer:
        if json.loads(request)["model"] not in self.left:
            self.sent.append((request, EscalationKind.ANSWER, Egress.FULL))
            return CloudAnswer(end=CloudEnd.RETIRED, error="HTTP 404: no such model")
        return super().start(request, *arguments)


def asking(ledger: Ledger, cloud: Cloud, *models: str) -> Escalation:
    return replace(escalation(ledger, cloud), advisers={EscalationKind.ANSWER: ladder(cloud, *models)})


def test_a_model_that_is_retired_is_followed_by_the_next_with_the_same_words_and_its_own_price() -> None:
    ledger, cloud = Ledger(), Retiring("c")
    completion = asking(ledger, cloud, "a", "b", "c").answer(turn(), NUMBER)
    assert completion is not None
    again = ["fall through", "intend again"]
    assert ledger.writes == ["intend", *again, *again, "identify", "settle"]
    bodies = [json.loads(request) for request, *_ in cloud.sent]
    assert [body.pop("model") for body in bodies] == ["a", "b", "c"]
    assert bodies[0] == bodies[1] == bodies[2]
    assert ledger.charged is not None
    assert ledger.charged.usd == ladder(cloud, "a", "b", "c").cost("c", USAGE)


def test_where_every_model_is_retired_nothing_is_charged() -> None:
    ledger, cloud = Ledger(), Retiring()
    assert asking(ledger, cloud, "a", "b").answer(turn(), NUMBER) is None
    assert ledger.settled == (EscalationState.FAILED, "HTTP 404: no such model")
    assert ledger.charged is not None
    assert (ledger.charged.usd, ledger.charged.prompt_tokens) == (0, 0)


@pytest.mark.parametrize(
    ("served", "asked"), [(None, "a"), (frozenset({"b", "c"}), "b"), (frozenset({"x"}), "a"), (frozenset({"a"}), "a")]
)
def test_the_first_model_that_the_provider_lists_is_asked(served: frozenset[str] | None, asked: str) -> None:
    ledger, cloud = Ledger(), Cloud()
    cloud.served = served
    asking(ledger, cloud, "a", "b", "c").answer(turn(), NUMBER)
    assert ledger.record is not None
    assert ledger.record.plan.model == json.loads(cloud.sent[0][0])["model"] == asked


def test_where_there_is_no_choice_of_models_the_provider_is_not_asked_for_its_list() -> None:
    cloud = Cloud()
    escalation(Ledger(), cloud).answer(turn(), NUMBER)
    assert cloud.asked_for_models == 0


def test_a_kind_of_help_that_nobody_gives_is_not_asked_for() -> None:
    ledger, cloud = Ledger(), Cloud()
    assert asking(ledger, cloud, "a").answer(turn(), NUMBER, EscalationKind.HINT) is None
    assert (ledger.writes, cloud.sent, cloud.asked_for_models) == ([], [], 0)
