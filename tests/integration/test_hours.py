"""A job's hours on a real Postgres: decided on as they are now, and no call outlives them."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_history, job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, ChatRequest, CheckSpec, Egress, JobSpec, JobState, StopCode
from tests.loops import ENGINE_AND_CHECKS, take, twin_loop
from tests.turns import StoppedClock

pytestmark = pytest.mark.integration
ANSWER = CheckSpec(name="answer:answer", kind="answer", value={"exact": "42"})
HOURS = 0.5


def put(user: Database) -> int:
    budget = Budget(hours=HOURS, iterations=9)
    spec = JobSpec(title="t", problem="What is six times seven?", checks=(ANSWER,), egress=Egress.NEVER, budget=budget)
    return submit_jobs(user, [spec])[0].job


def pass_minutes(fleet: Database, minutes: int) -> None:
    """The job has been at work for longer, by the database's clock."""
    with fleet.begin() as connection:
        connection.execute(text("UPDATE jobs SET started_at = started_at - make_interval(mins => :m)"), {"m": minutes})


def test_an_iteration_is_decided_on_the_hours_that_are_left_then(user: Database, fleet: Database) -> None:
    """Iterations of twenty minutes: the third would begin at minute 40 of 30."""

    def answer(request: ChatRequest) -> str:
        pass_minutes(fleet, 20)
        return f"so it is\nANSWER: {request.seed}"

    job = put(user)
    ledger, standing = PostgresLedger(fleet, fault_cap=3), StoppedClock()
    while (claim := take(fleet)) is not None:
        twin_loop(ledger, ScriptedModel(answer), clock=standing).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
    summary = job_summary(user, job)
    assert (summary.state, summary.iterations) == (JobState.UNSOLVED, 2)
    assert summary.stop_code is StopCode.BUDGET_HOURS
    assert summary.answer


def test_an_iteration_that_waited_in_the_queue_past_the_hours_is_not_begun(user: Database, fleet: Database) -> None:
    prompts: list[str] = []

    def answer(request: ChatRequest) -> str:
        prompts.append(request.messages[-1].content)
        return "ANSWER: 7"

    job, ledger = put(user), PostgresLedger(fleet, fault_cap=3)
    for minutes in (31, 0):
        claim = take(fleet)
        assert claim is not None
        twin_loop(ledger, ScriptedModel(answer)).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
        pass_minutes(fleet, minutes)
    summary = job_summary(user, job)
    assert (summary.state, summary.iterations, len(prompts)) == (JobState.UNSOLVED, 1, 1)
    assert summary.stop_code is StopCode.BUDGET_HOURS


def test_a_call_ends_with_the_hours_and_the_job_with_its_incumbent(
    user: Database, fleet: Database, admin_url: str
) -> None:
    clock, prompts = StoppedClock(), list[str]()

    class Slow(SilentHeartbeat):
        """From the second iteration on a token takes ten minutes."""

        def beat(self, tokens: int = 0) -> None:
            clock.now += 600 * tokens if len(prompts) > 1 else 0

    def answer(request: ChatRequest) -> str:
        prompts.append(request.messages[-1].content)
        return "It takes some time to say why it is so, but after all it is\nANSWER: 7"

    job = put(user)
    ledger = PostgresLedger(fleet, fault_cap=3)
    while (claim := take(fleet)) is not None:
        twin_loop(ledger, ScriptedModel(answer), clock=clock).turn(claim, ENGINE_AND_CHECKS, Slow())
    summary = job_summary(user, job)
    assert (summary.state, summary.iterations, len(prompts)) == (JobState.UNSOLVED, 1, 2)
    assert summary.stop_code is StopCode.BUDGET_HOURS
    assert summary.answer is not None
    assert "ANSWER: 7" in summary.answer
    with fleet.connect() as connection:
        rows = connection.execute(
            text("SELECT finish_reason, text, prompt_tokens + completion_tokens AS tokens FROM calls ORDER BY id")
        ).all()
    assert [row.finish_reason for row in rows] == ["stop", "deadline"]
    assert "It takes some time".startswith(rows[1].text[:18])
    assert summary.spend.local_tokens == sum(row.tokens for row in rows)
    assert len(job_history(user, job)) >= 1
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()
