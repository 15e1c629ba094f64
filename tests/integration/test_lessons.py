"""A job's end is told at once and its lesson made afterwards, on a real Postgres with a scripted model: whatever
befalls the lesson, the end stays as it was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from tasks.errors import Cancelled, EngineFault, LeaseLost
from tasks.heartbeat import SilentHeartbeat
from tasks.lesson_service import MemoryLessonService
from tasks.llm.scripted import ScriptedModel
from tasks.memory.embedder import Embedder
from tasks.memory.twin import InMemoryBank
from tasks.ports import Heartbeat
from tasks.store import lifecycle
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.lesson_queries import StoredRecords
from tasks.store.lifecycle import request_cancel
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, Changes, ChatRequest, CheckSpec, Claim, JobSpec, JobState, Lane
from tests.loops import ENGINE_AND_CHECKS, outlive, take, twin_loop

pytestmark = pytest.mark.integration
BANK = InMemoryBank(Embedder())
ANSWER = CheckSpec(name="answer:answer", kind="answer", value={"exact": "42"})
LESSON = "WHEN: multiplying two small numbers\nDO: add the one number as often as the other says\nAVOID: guessing"
FAULT_CAP = CRASH_CAP = 3


def right(request: ChatRequest) -> str:
    return LESSON if "WHEN:" in request.messages[-1].content else "so it is\nANSWER: 42"


def wrong(request: ChatRequest) -> str:
    return LESSON if "WHEN:" in request.messages[-1].content else "so it is\nANSWER: 7"


def put(user: Database, **fields: Any) -> int:
    spec = JobSpec(title="Six times seven", problem="What is six times seven?", checks=(ANSWER,), **fields)
    return submit_jobs(user, [spec])[0].job


def turn(
    fleet: Database,
    claim: Claim,
    answer: Callable[[ChatRequest], str] = right,
    *,
    lanes: frozenset[Lane] = ENGINE_AND_CHECKS,
    heartbeat: Heartbeat | None = None,
    escalate_after: int = 10,
) -> None:
    twin_loop(
        PostgresLedger(fleet, fault_cap=FAULT_CAP),
        ScriptedModel(answer),
        lesson_service=lambda model: MemoryLessonService(bank=BANK, model=model, records=StoredRecords(fleet)),
        escalate_after=escalate_after,
    ).turn(claim, lanes, heartbeat or SilentHeartbeat())


def ended(user: Database, fleet: Database, state: JobState, **fields: Any) -> int:
    """A job that has just ended in `state`, and owes its lesson."""
    job = put(user, **fields)
    while not job_summary(user, job).state.final:
        claim = take(fleet)
        assert claim is not None
        turn(fleet, claim, right if state is JobState.ACCEPTED else wrong)
    assert job_summary(user, job).state is state
    assert lessons(fleet) == []
    return job


def lessons(fleet: Database) -> list[str]:
    with fleet.connect() as connection:
        return list(connection.execute(text("SELECT situation FROM lessons ORDER BY id")).scalars())


def noted(fleet: Database) -> dict[str, str]:
    with fleet.connect() as connection:
        return {row.kind: row.detail for row in connection.execute(text("SELECT kind, detail FROM events ORDER BY id"))}


def test_an_accepted_answer_is_told_while_the_engine_is_away_and_its_lesson_made_when_it_is_back(
    user: Database, fleet: Database
) -> None:
    job = put(user)
    for lane in (Lane.GPU, Lane.CHECK):
        claim = take(fleet, lane)
        assert claim is not None
        turn(fleet, claim, lanes=frozenset({lane}))
    told = job_summary(user, job)
    assert (told.state, told.answer) == (JobState.ACCEPTED, "so it is\nANSWER: 42")
    assert take(fleet, Lane.CHECK, Lane.CLOUD) is None
    assert breaches(fleet, drained=True) == ()

    claim = take(fleet, Lane.GPU)
    assert claim is not None
    turn(fleet, claim, lanes=frozenset({Lane.GPU}))
    assert lessons(fleet) == ["multiplying two small numbers"]
    after = job_summary(user, job)
    assert (after.state, after.finished_at, after.iterations) == (told.state, told.finished_at, told.iterations)
    assert take(fleet) is None
    assert breaches(fleet, drained=True) == ()


def test_an_escalation_without_an_answer_ends_a_spent_job_on_the_clouds_own_lane(
    user: Database, fleet: Database
) -> None:
    with fleet.begin() as connection:
        connection.execute(
            text("""INSERT INTO workers (name, host, pid, lanes, slots, version, seen_at)
                    VALUES ('w', 'h', 1, '{gpu,check,cloud}', 4, '0', now() + interval '1 hour')""")
        )
    job = put(user, budget=Budget(iterations=3))
    for _ in range(2):  # the cloud is asked where the job would begin anew
        claim = take(fleet)
        assert claim is not None
        turn(fleet, claim, wrong, escalate_after=1)
    cloud = take(fleet, Lane.CLOUD)
    assert cloud is not None
    turn(fleet, cloud, wrong, lanes=frozenset({Lane.CLOUD}), escalate_after=1)
    assert job_summary(user, job).state is JobState.UNSOLVED
    claim = take(fleet, Lane.GPU)
    assert claim is not None
    turn(fleet, claim, wrong, lanes=frozenset({Lane.GPU}))
    assert lessons(fleet) == ["multiplying two small numbers"]


def test_a_job_that_has_nothing_sure_to_teach_is_not_claimed_again(user: Database, fleet: Database) -> None:
    put(user, memory=False)
    claim = take(fleet)
    assert claim is not None
    turn(fleet, claim)
    assert take(fleet) is None
    assert breaches(fleet, drained=True) == ()


def test_a_lesson_that_kills_its_worker_or_fails_again_and_again_is_given_up_and_the_end_stays(
    user: Database, fleet: Database
) -> None:
    def ill(request: ChatRequest) -> str:
        raise EngineFault("it hung")

    for failing in ("worker", "engine"):
        job = ended(user, fleet, JobState.ACCEPTED)
        told = job_summary(user, job)
        for _ in range(CRASH_CAP):
            claim = take(fleet)
            assert claim is not None
            if failing == "engine":
                turn(fleet, claim, ill)
                continue
            outlive(fleet, crash_cap=CRASH_CAP)
        assert take(fleet) is None
        after = job_summary(user, job)
        assert (after.state, after.reason, after.finished_at) == (told.state, told.reason, told.finished_at)
        assert {"worker": "died 3 times", "engine": "it hung"}[failing] in noted(fleet)["no lesson"]
        assert breaches(fleet, drained=True) == ()
    assert lessons(fleet) == []


class AlwaysCancelled(SilentHeartbeat):
    """A heartbeat that hears at once of a cancel."""

    def check(self) -> None:
        raise Cancelled("by its owner")


def test_a_cancel_that_came_too_late_takes_the_lesson_and_not_the_answer(user: Database, fleet: Database) -> None:
    job = put(user)
    claim = take(fleet)
    assert claim is not None
    assert request_cancel(user, job) is JobState.RUNNING
    turn(fleet, claim)  # it never looked up before the end
    claim = take(fleet)
    assert claim is not None
    turn(fleet, claim, heartbeat=AlwaysCancelled())
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert noted(fleet)["no lesson"] == "cancelled by its owner"
    assert take(fleet) is None
    assert breaches(fleet, drained=True) == ()


def test_a_retry_takes_an_unsolved_job_from_whoever_makes_its_lesson(user: Database, fleet: Database) -> None:
    job = ended(user, fleet, JobState.UNSOLVED, budget=Budget(iterations=1))
    claim = take(fleet)
    assert claim is not None

    def retried(request: ChatRequest) -> str:
        assert lifecycle.retry(user, job, Changes(iterations=4)) is JobState.QUEUED
        return wrong(request)

    with pytest.raises(LeaseLost):
        turn(fleet, claim, retried)
    assert breaches(fleet) == ()
    while (claim := take(fleet)) is not None:
        turn(fleet, claim)
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert lessons(fleet) == ["multiplying two small numbers"]
    assert breaches(fleet, drained=True) == ()
