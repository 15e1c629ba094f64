"""Jobs that begin with an answer of their owner's, on a real Postgres."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from tasks.llm.scripted import ScriptedModel
from tasks.store import lifecycle
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_history, job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, Changes, ChatRequest, CheckSpec, JobSpec, JobState
from tests.loops import run

pytestmark = pytest.mark.integration
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "212"}, held_out=True)


@pytest.fixture
def fleet(fleet_url: str) -> Iterator[Database]:
    with Database(fleet_url) as database:
        yield database


@pytest.fixture
def ledger(fleet: Database) -> PostgresLedger:
    return PostgresLedger(fleet, fault_cap=3)


def put(user: Database, start: str, **fields: object) -> int:
    spec = JobSpec(
        title="t",
        problem="When does water boil?",
        checks=(CHECK,),
        memory=False,
        start=start,
        budget=Budget(iterations=4),
        **fields,  # type: ignore[arg-type]
    )
    return submit_jobs(user, [spec])[0].job


def corrected(request: ChatRequest) -> str:
    """Knows the unit from the answer that it is shown."""
    return "ANSWER: 212" if "in kelvin" in request.messages[-1].content else "ANSWER: 100"


def test_a_right_one_is_accepted_without_a_call(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user, "ANSWER: 212")
    run(fleet, ledger, ScriptedModel(corrected))
    summary = job_summary(user, job)
    assert (summary.state, summary.iterations) == (JobState.ACCEPTED, 1)
    assert summary.answer == "ANSWER: 212"
    assert [row.operator for row in job_history(user, job)] == ["start"]
    with fleet.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM calls")).scalar_one() == 0
    assert breaches(fleet, submitted=[job], drained=True) == ()


def test_a_wrong_one_is_corrected_and_a_fork_begins_with_it_too(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, "It boils in kelvin at\nANSWER: 373")
    run(fleet, ledger, ScriptedModel(corrected))
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert [row.operator for row in job_history(user, job)] == ["start", "revise"]
    made = lifecycle.fork(user, job, 1, Changes())
    run(fleet, ledger, ScriptedModel(corrected))
    assert [row.operator for row in job_history(user, made)] == ["start", "revise"]
    with fleet.connect() as connection:
        starts = connection.execute(text("SELECT DISTINCT start FROM jobs")).scalars().all()
    assert starts == ["It boils in kelvin at\nANSWER: 373"]
    assert breaches(fleet, submitted=[job, made], drained=True) == ()


def test_an_invariant_finds_a_first_candidate_that_is_another(
    user: Database, fleet: Database, ledger: PostgresLedger, admin_url: str
) -> None:
    job = put(user, "ANSWER: 100")
    run(fleet, ledger, ScriptedModel(corrected))
    with Database(admin_url) as admin, admin.begin() as connection:
        connection.execute(text("UPDATE candidates SET text = 'ANSWER: 5' WHERE operator = 'start'"))
    [breach] = [one for one in breaches(fleet, submitted=[job], drained=True) if one.invariant.startswith("I2")]
    assert "is not the answer that the job begins with" in breach.what


def test_one_key_with_another_start_is_another_job(user: Database) -> None:
    job = put(user, "ANSWER: 1", key="k")
    assert put(user, "ANSWER: 1", key="k") == job
    with pytest.raises(Exception, match="key"):
        put(user, "ANSWER: 2", key="k")
