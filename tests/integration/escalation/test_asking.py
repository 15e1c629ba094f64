"""The cloud's turn at a job on a real Postgres: what is asked, of whom and for how much; the stand-in answers."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest
from sqlalchemy import text

from tasks.errors import LeaseLost
from tasks.heartbeat import SilentHeartbeat
from tasks.store.invariants import breaches
from tasks.store.queries import job_egress, job_history, job_summary
from tasks.store.session import Database
from tasks.types import Budget, Egress, JobState, Lane, StopCode, Usage
from tests.integration.escalation.cases import (
    ALL,
    PRICES,
    RIGHT,
    events,
    loop,
    put,
    rows,
    run,
    until_escalation,
)
from tests.loops import take
from tests.standin.responses import Rule, StandIn, serving
from tests.turns import turn_of

pytestmark = pytest.mark.integration


def test_a_job_that_the_local_model_cannot_solve_is_escalated_and_accepted_for_one_request(
    user: Database, fleet: Database, standin: StandIn, admin_url: str
) -> None:
    job = put(user)
    run(fleet, standin.url)
    summary = job_summary(user, job)
    assert (summary.state, summary.acceptance, summary.answer) == (JobState.ACCEPTED, "verified", RIGHT.answer)
    assert [i.operator for i in job_history(user, job)] == ["draft", "revise", "escalate"]
    assert standin.posts == 1

    (asked,) = rows(fleet, job)
    assert (asked.state, asked.response_id, asked.text) == ("done", next(iter(standin.made)), RIGHT.answer)
    used = Usage(
        prompt_tokens=asked.prompt_tokens, cached_tokens=asked.cached_tokens, completion_tokens=asked.completion_tokens
    )
    assert 0 < asked.usd == PRICES.cost(used) <= asked.reserved_usd
    assert summary.spend.usd == asked.usd == job_history(user, job)[-1].usd
    assert summary.spend.cloud_tokens == used.prompt_tokens + used.completion_tokens
    with user.connect() as connection:
        spent = connection.execute(text("SELECT usd FROM spend_by_day WHERE model = 'gpt-5.4'")).scalar_one()
    assert spent == asked.usd
    with Database(admin_url) as admin:
        assert breaches(admin, submitted=[job], drained=True) == ()


def test_what_left_is_what_is_kept_and_holds_nothing_of_what_is_held_out(
    user: Database, fleet: Database, standin: StandIn
) -> None:
    job = put(user)
    run(fleet, standin.url)
    (left,) = job_egress(user, job)
    (body,) = standin.bodies
    assert body == rows(fleet, job)[0].request
    assert left.state == "done"
    prompt = body["input"]
    assert "What is the secret?" in prompt
    assert "a try" in prompt
    assert "A hidden check failed." in prompt
    assert "4711" not in left.request
    assert "answer:hidden" not in left.request


@pytest.mark.parametrize("egress", [Egress.NEVER, Egress.HINT])
def test_a_job_that_must_stay_at_home_ends_unsolved_and_nothing_is_sent(
    user: Database, fleet: Database, standin: StandIn, egress: Egress
) -> None:
    job = put(user, egress=egress)
    run(fleet, standin.url)
    assert job_summary(user, job).state is JobState.UNSOLVED
    assert (standin.posts, standin.connections) == (0, 0)
    assert rows(fleet, job) == []
    assert job_egress(user, job) == ()


def test_even_an_escalation_that_was_decided_sends_nothing_of_a_job_that_must_stay_at_home(
    user: Database, fleet: Database, standin: StandIn
) -> None:
    job = put(user)
    until_escalation(fleet, standin.url)
    with fleet.begin() as connection:
        connection.execute(text("UPDATE jobs SET egress = 'never'"))
    run(fleet, standin.url)
    assert job_summary(user, job).state is JobState.UNSOLVED
    assert (standin.connections, rows(fleet, job)) == (0, [])


def test_without_a_worker_for_the_cloud_the_job_stays_local(user: Database, fleet: Database, standin: StandIn) -> None:
    with fleet.begin() as connection:
        connection.execute(text("UPDATE workers SET lanes = '{gpu,check}'"))
    job = put(user)
    run(fleet, standin.url)
    assert job_summary(user, job).state is JobState.UNSOLVED
    assert standin.posts == 0


def test_a_rejected_answer_of_the_cloud_ends_the_job_unsolved(user: Database, fleet: Database) -> None:
    with serving([Rule(answer="ANSWER: 5")]) as standin:
        job = put(user)
        run(fleet, standin.url)
        summary = job_summary(user, job)
        assert (summary.state, summary.iterations, standin.posts) == (JobState.UNSOLVED, 3, 1)
    assert summary.stop_code is StopCode.CLOUD_REJECTED
    assert summary.answer
    assert rows(fleet, job)[0].state == "done"


@pytest.mark.parametrize("budget", [Budget(iterations=5, usd=Decimal("0.01")), Budget(iterations=5, tokens=4500)])
def test_what_the_budget_cannot_pay_for_is_not_sent(
    user: Database, fleet: Database, standin: StandIn, budget: Budget, admin_url: str
) -> None:
    job = put(user, budget=budget)
    run(fleet, standin.url)
    summary = job_summary(user, job)
    assert (summary.state, summary.spend.usd, standin.posts) == (JobState.UNSOLVED, 0, 0)
    (asked,) = rows(fleet, job)
    assert asked.state == "refused"
    assert "are left" in asked.error
    assert "escalation refused" in events(fleet, job)
    assert [i.operator for i in job_history(user, job)].count("escalate") == 1
    assert job_egress(user, job) == ()
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


def test_a_stale_worker_may_neither_ask_nor_settle(user: Database, fleet: Database, standin: StandIn) -> None:
    job = put(user)
    until_escalation(fleet, standin.url)
    claim = take(fleet, *ALL)
    assert claim is not None
    stale = dataclasses.replace(claim, epoch=claim.epoch - 1)
    running = loop(fleet, standin.url)
    loaded = running.ledger.load(claim)
    with pytest.raises(LeaseLost):
        running.operators.cloud.answer(turn_of(loaded, stale), 3)
    assert (standin.posts, rows(fleet, job)) == (0, [])


def test_each_step_of_an_escalation_runs_on_its_lane(user: Database, fleet: Database, standin: StandIn) -> None:
    job = put(user)
    until_escalation(fleet, standin.url)
    assert take(fleet, Lane.GPU, Lane.FAST, Lane.CHECK) is None
    for lane in (Lane.CLOUD, Lane.CHECK):
        claim = take(fleet, lane)
        assert claim is not None, lane
        loop(fleet, standin.url).turn(claim, frozenset({lane}), SilentHeartbeat())
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert standin.posts == 1


def test_a_job_of_lane_fast_moves_up_after_its_rejections_and_says_so_once(
    user: Database, fleet: Database, standin: StandIn
) -> None:
    job = put(user, lane=Lane.FAST, egress=Egress.NEVER)
    lanes: list[str] = []
    while (claim := take(fleet, *ALL)) is not None:
        with fleet.connect() as connection:
            lanes.append(connection.execute(text("SELECT lane FROM leases")).scalar_one())
        loop(fleet, standin.url).turn(claim, ALL, SilentHeartbeat())
    assert lanes == ["fast"] * 3 + ["gpu"] * 3
    assert events(fleet, job).count("moved up") == 1
    summary = job_summary(user, job)
    assert (summary.lane, summary.moved_up) == (Lane.FAST, True)


def test_a_job_of_lane_fast_that_ends_before_never_moves_up(user: Database, fleet: Database, standin: StandIn) -> None:
    job = put(user, lane=Lane.FAST, budget=Budget(iterations=2), egress=Egress.NEVER)
    run(fleet, standin.url)
    assert "moved up" not in events(fleet, job)
    assert not job_summary(user, job).moved_up
