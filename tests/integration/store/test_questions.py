"""Questions on a real Postgres: a job that is stuck asks, rests with nothing held, and goes on once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import text

from tasks.client import Client
from tasks.errors import InvalidInput, NoSuchJob
from tasks.llm.scripted import ScriptedModel
from tasks.store import lifecycle, questions
from tasks.store.hints import advise, hints_of
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, Changes, ChatRequest, CheckSpec, JobSpec, JobState
from tests.loops import run, take

pytestmark = pytest.mark.integration
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "212"})
QUESTION = "In which unit is the answer?"
ANSWER = "In degrees Fahrenheit."


@pytest.fixture
def fleet(fleet_url: str) -> Iterator[Database]:
    with Database(fleet_url) as database:
        yield database


@pytest.fixture
def ledger(fleet: Database) -> PostgresLedger:
    return PostgresLedger(fleet, fault_cap=3)


def asking(request: ChatRequest) -> str:
    """Knows the temperature in one unit, and the other once it was told."""
    prompt = request.messages[-1].content
    if "Write the question now" in prompt:
        return f"I need the unit.\n{QUESTION}"
    return f"ANSWER: {212 if ANSWER in prompt else 100}"


def put(user: Database, **fields: object) -> int:
    fields = {"strategy": "single", "ask": True, **fields}
    spec = JobSpec(title="t", problem="When does water boil?", checks=(CHECK,), memory=False, **fields)  # type: ignore[arg-type]
    return submit_jobs(user, [spec])[0].job


@pytest.fixture
def job(user: Database, fleet: Database, ledger: PostgresLedger) -> int:
    """One that has asked."""
    number = put(user)
    run(fleet, ledger, ScriptedModel(asking))
    return number


def late(fleet: Database) -> None:
    with fleet.begin() as connection:
        connection.execute(text("UPDATE questions SET answer_until = now() - interval '1 s'"))


def test_a_stuck_job_asks_and_nobody_can_claim_it(user: Database, fleet: Database, job: int) -> None:
    summary = job_summary(user, job)
    assert (summary.state, summary.question, summary.worker) == (JobState.NEEDS_INPUT, QUESTION, None)
    assert summary.answer_until is not None
    assert 23.9 < (summary.answer_until - summary.now).total_seconds() / 3600 <= 24
    assert take(fleet) is None
    assert breaches(fleet) == ()


def test_with_the_answer_it_is_solved_and_the_time_that_it_waited_is_free(
    user: Database, fleet: Database, ledger: PostgresLedger, job: int
) -> None:
    before = job_summary(user, job)
    with fleet.begin() as connection:
        connection.execute(text("UPDATE jobs SET paused_at = paused_at - interval '3 h'"))
    assert questions.answer(user, job, f" {ANSWER}\n") is JobState.QUEUED
    assert job_summary(user, job).idle_seconds >= 3 * 3600
    run(fleet, ledger, ScriptedModel(asking))
    after = job_summary(user, job)
    assert (after.state, after.iterations, after.question) == (JobState.ACCEPTED, 3, None)
    [hint] = hints_of(user, job)
    assert (hint.question, hint.text, hint.by, hint.iteration) == (QUESTION, ANSWER, "alice", 3)
    assert before.spend.local_tokens < after.spend.local_tokens
    assert breaches(fleet, drained=True) == ()


def test_without_an_answer_it_goes_on_after_its_time_and_asks_no_more(
    user: Database, fleet: Database, ledger: PostgresLedger, job: int
) -> None:
    assert questions.give_up(fleet) == ()
    late(fleet)
    assert questions.give_up(fleet) == (job,)
    assert questions.give_up(fleet) == ()
    run(fleet, ledger, ScriptedModel(asking))
    assert job_summary(user, job).state is JobState.UNSOLVED
    with pytest.raises(InvalidInput, match=f"it is unsolved, and asks nothing; `redraft hint {job}`"):
        questions.answer(user, job, ANSWER)
    assert advise(user, job, ANSWER).held_up == ""
    run(fleet, ledger, ScriptedModel(asking))
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert breaches(fleet, drained=True) == ()


def test_an_answer_is_taken_once(user: Database, fleet: Database, job: int) -> None:
    questions.answer(user, job, ANSWER)
    with pytest.raises(InvalidInput, match="it is queued, and asks nothing"):
        questions.answer(user, job, ANSWER)
    assert len(hints_of(user, job)) == 1
    late(fleet)
    assert questions.give_up(fleet) == ()


def test_an_answer_that_is_none_leaves_the_question_open(user: Database, fleet: Database, job: int) -> None:
    for said in (" ", "x" * 4001, "a\0b"):
        with pytest.raises(InvalidInput, match="answer: "):
            questions.answer(user, job, said)
    assert job_summary(user, job).question == QUESTION
    assert breaches(fleet) == ()


def test_resume_lets_it_go_on_without_an_answer(user: Database, fleet: Database, job: int) -> None:
    assert lifecycle.resume(user, job) is JobState.QUEUED
    assert hints_of(user, job) == ()
    assert breaches(fleet) == ()


def test_it_can_be_cancelled_and_changed_while_it_asks(user: Database, fleet: Database, job: int) -> None:
    assert lifecycle.edit(user, job, Changes(priority=9)) is JobState.NEEDS_INPUT
    assert lifecycle.request_pause(user, job) is JobState.NEEDS_INPUT
    assert lifecycle.request_cancel(user, job) is JobState.CANCELLED
    late(fleet)
    assert questions.give_up(fleet) == ()
    with pytest.raises(InvalidInput, match="it is cancelled, and asks nothing"):
        questions.answer(user, job, ANSWER)
    assert breaches(fleet) == ()


def test_a_hint_while_it_asks_waits_with_it(user: Database, fleet: Database, ledger: PostgresLedger, job: int) -> None:
    assert advise(user, job, "Mind the pressure.").held_up is None
    assert job_summary(user, job).state is JobState.NEEDS_INPUT
    questions.answer(user, job, ANSWER)
    run(fleet, ledger, ScriptedModel(asking))
    assert [hint.iteration for hint in hints_of(user, job)] == [3, 3]
    assert breaches(fleet, drained=True) == ()


def test_nobody_answers_for_another_owner(user: Database, fleet: Database, login: Callable[..., str], job: int) -> None:
    with Database(login("eve")) as eve, pytest.raises(NoSuchJob):
        questions.answer(eve, job, ANSWER)
    with Database(login("eve")) as eve, eve.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM questions")).scalar_one() == 0


def test_a_job_whose_budget_has_no_room_for_an_answer_does_not_ask(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, budget=Budget(iterations=2))
    run(fleet, ledger, ScriptedModel(asking))
    assert (job_summary(user, job).state, job_summary(user, job).iterations) == (JobState.UNSOLVED, 1)


def test_whoever_waits_or_listens_hears_of_the_question(
    user: Database, fleet: Database, ledger: PostgresLedger, login: Callable[..., str]
) -> None:
    url = login("alice")
    job = put(user)
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as listener, Client(url) as client:
        listener.execute(f"LISTEN {questions.CHANNEL}")  # type: ignore[arg-type]
        run(fleet, ledger, ScriptedModel(asking))
        assert [notice.payload for notice in listener.notifies(timeout=5, stop_after=1)] == [str(job)]
        begun = time.monotonic()
        [summary] = client.wait(job, timeout=60)
        assert summary.question == QUESTION
        assert time.monotonic() - begun < 30
