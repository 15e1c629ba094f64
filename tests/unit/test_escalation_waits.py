"""Escalations that wait, for a cloud that is out of reach or busy or behind an open circuit, and are given up."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tasks.crashpoints import CrashPoint, armed
from tasks.deadline import Deadline
from tasks.errors import CloudFault, CloudUnreached, CloudWaits
from tasks.escalation import HOURS_OVER
from tasks.types import (
    CloudAnswer,
    CloudEnd,
    Egress,
    EscalationKind,
    EscalationRecord,
    EscalationState,
    Health,
)
from tasks.waits import WaitRules
from tests.escalations import (
    ANSWER,
    BUSY,
    CIRCUIT,
    ID,
    NUMBER,
    PLAN,
    Cloud,
    Ledger,
    escalation,
    over,
    record,
    refused,
    turn,
    unsent,
)
from tests.turns import StoppedClock


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
