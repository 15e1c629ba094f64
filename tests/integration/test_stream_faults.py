"""Whole jobs over recorded streams: an engine's fault takes nothing from the candidate, and thoughts stay apart.

The jobs of a test share a database, one after the other."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.lesson_service import MemoryLessonService
from tasks.llm.capabilities import Capabilities
from tasks.llm.chat import OpenAIChatModel
from tasks.memory.embedder import Embedder
from tasks.memory.twin import InMemoryBank
from tasks.store.ledger import PostgresLedger
from tasks.store.lesson_queries import StoredRecords
from tasks.store.queries import job_history, job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, CheckSpec, Egress, JobSpec, JobState
from tests.loops import ENGINE_AND_CHECKS, take, twin_loop
from tests.standin.recorded import RECORDINGS, RecordedServer, facts_of, serving

pytestmark = pytest.mark.integration
FAULTS = [name for name in RECORDINGS if "fault" in facts_of(name)["right"]]
THOUGHTFUL = [name for name in RECORDINGS if facts_of(name)["right"].get("thoughts")]
WELL = "usage_each_time"
FAULT_CAP = 3


def put(user: Database, answer: str = "6", iterations: int = 3) -> int:
    check = CheckSpec(name="answer:answer", kind="answer", value={"exact": answer})
    budget = Budget(iterations=iterations)
    spec = JobSpec(title="Train", problem="How long?", checks=(check,), budget=budget, egress=Egress.NEVER)
    return submit_jobs(user, [spec])[0].job


def run(fleet: Database, server: RecordedServer, *, thoughts: str = "apart", turns: int = 20) -> None:
    """Turns until nothing is due; a rejected iteration escalates at once."""
    model = OpenAIChatModel(
        base_url=server.url,
        model="tiny",
        api_key="none",
        context_tokens=4096,
        first_token_seconds=20.0,
        token_silence_seconds=20.0,
        extra={},
        engine="recorded",
        capabilities=Capabilities(tokenizer="none", thoughts=thoughts),  # type: ignore[arg-type]
    )
    loop = twin_loop(
        PostgresLedger(fleet, fault_cap=FAULT_CAP),
        model,
        lesson_service=lambda journalled: MemoryLessonService(
            bank=InMemoryBank(Embedder()), model=journalled, records=StoredRecords(fleet)
        ),
        escalate_after=1,
    )
    for _ in itertools.repeat(None, turns):
        claim = take(fleet)
        if claim is None:
            return
        loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())


def count(fleet: Database, what: str, job: int) -> int:
    with fleet.connect() as connection:
        return int(
            connection.execute(text(f"SELECT count(*) FROM {what} AND job_id = :job"), {"job": job}).scalar_one()
        )


def test_a_job_goes_on_after_a_fault_as_if_there_had_been_none(user: Database, fleet: Database) -> None:
    for recording in FAULTS:
        job = put(user)
        with serving(recording, recording, WELL) as server:
            run(fleet, server)
        summary = job_summary(user, job)
        assert (summary.state, summary.iterations) == (JobState.ACCEPTED, 1), recording
        assert [(row.operator, row.score) for row in job_history(user, job)] == [("draft", 1.0)], recording
        assert count(fleet, "events WHERE kind = 'fault'", job) == 2, recording
        assert count(fleet, "verdicts WHERE NOT passed", job) == 0, recording


def test_an_engine_that_always_fails_ends_the_job_with_its_reason_and_blames_no_candidate(
    user: Database, fleet: Database
) -> None:
    for recording in FAULTS:
        job = put(user)
        with serving(recording) as server:
            run(fleet, server)
        summary = job_summary(user, job)
        assert (summary.state, summary.iterations) == (JobState.FAILED, 0), recording
        assert facts_of(recording)["right"]["fault"] in summary.reason
        assert len(server.bodies) == FAULT_CAP, recording
        for nothing in (
            "candidates WHERE true",
            "calls WHERE true",
            "verdicts WHERE true",
            "lessons WHERE true",
            "escalations WHERE true",
        ):
            assert count(fleet, nothing, job) == 0, (recording, nothing)


def test_thoughts_are_stored_and_neither_checked_nor_shown(user: Database, fleet: Database) -> None:
    """The check asks for the guess that stands in the thoughts."""
    for recording in THOUGHTFUL:
        facts, job = facts_of(recording), put(user, answer="5", iterations=2)
        with serving(recording) as server:
            run(fleet, server, thoughts=facts.get("thoughts", "apart"))
        assert job_summary(user, job).state is JobState.UNSOLVED, recording
        assert all("km/h" not in str(body["messages"]) for body in server.bodies), recording
        with fleet.connect() as connection:
            rows = connection.execute(text("SELECT reasoning FROM calls WHERE job_id = :job"), {"job": job})
            assert facts["right"]["thoughts"] in list(rows.scalars()), recording
