"""Hints on a real Postgres: who may give one, which iteration sees it first, and how an unsolved job goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from tasks.errors import InvalidInput, NoSuchJob
from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.store import lifecycle
from tasks.store.hints import advise, hints_of
from tasks.store.invariants import breaches
from tasks.store.job_loader import load_job
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_history, job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, Changes, ChatRequest, CheckSpec, HintSource, JobSpec, JobState, Stop, StopCode
from tests.loops import ENGINE_AND_CHECKS, run, take, twin_loop

pytestmark = pytest.mark.integration
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "1001"})
ADVICE = "Multiply by eleven, then by thirteen."


@pytest.fixture
def fleet(fleet_url: str) -> Iterator[Database]:
    with Database(fleet_url) as database:
        yield database


@pytest.fixture
def ledger(fleet: Database) -> PostgresLedger:
    return PostgresLedger(fleet, fault_cap=3)


def put(user: Database, **fields: object) -> int:
    fields = {"strategy": "single", **fields}
    spec = JobSpec(title="t", problem="What is 7 · 11 · 13?", checks=(CHECK,), memory=False, **fields)  # type: ignore[arg-type]
    return submit_jobs(user, [spec])[0].job


class Heeding:
    """Right once it was advised; keeps the prompts."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    def __call__(self, request: ChatRequest) -> str:
        self.prompts.append(request.messages[-1].content)
        return f"ANSWER: {1001 if ADVICE in self.prompts[-1] else 77}"


def turn(fleet: Database, ledger: PostgresLedger, model: ScriptedModel) -> None:
    claim = take(fleet)
    assert claim is not None
    twin_loop(ledger, model).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())


def end(fleet: Database, job: int, state: str) -> None:
    with fleet.begin() as connection:
        connection.execute(
            text("UPDATE jobs SET state = :state, stop_code = 'crashes', finished_at = now() WHERE id = :job"),
            {"state": state, "job": job},
        )


def test_an_unsolved_job_goes_on_with_a_hint_and_is_solved(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    heeding = Heeding()
    job, model = put(user), ScriptedModel(heeding)
    run(fleet, ledger, model)
    assert job_summary(user, job).state is JobState.UNSOLVED
    assert advise(user, job, f"  {ADVICE}\n").held_up == ""
    assert job_summary(user, job).state is JobState.QUEUED
    run(fleet, ledger, model)
    summary = job_summary(user, job)
    assert (summary.state, summary.iterations) == (JobState.ACCEPTED, 2)
    [hint] = hints_of(user, job)
    assert (hint.text, hint.by, hint.source, hint.iteration) == (ADVICE, "alice", HintSource.PERSON, 2)
    assert [[hint.text for hint in row.hints] for row in job_history(user, job)] == [[], [ADVICE]]
    assert [ADVICE in prompt for prompt in heeding.prompts] == [False, True]
    assert breaches(fleet, drained=True) == ()


def test_a_hint_to_a_job_that_waits_is_seen_by_its_first_iteration(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    assert advise(user, job, ADVICE).held_up is None
    run(fleet, ledger, ScriptedModel(Heeding()))
    assert job_summary(user, job).iterations == 1
    assert hints_of(user, job)[0].iteration == 1
    assert breaches(fleet, drained=True) == ()


def test_a_hint_during_an_iteration_belongs_to_the_next_whatever_resumes_it(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    heeding = Heeding()
    job, model = put(user, strategy="correct"), ScriptedModel(heeding)
    turn(fleet, ledger, model)
    claim = take(fleet)
    assert claim is not None
    ledger.load(claim)  # the second iteration has begun; its first call comes from whoever takes the job next
    advise(user, job, ADVICE)
    ledger.hand_over(claim, load_job(user, job).lane)
    run(fleet, ledger, model)
    assert hints_of(user, job)[0].iteration == 2
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert breaches(fleet, drained=True) == ()


def test_a_hint_that_comes_while_a_job_is_given_up_lets_it_go_on(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job, model = put(user), ScriptedModel(Heeding())
    claim = take(fleet)
    assert claim is not None
    advise(user, job, ADVICE)
    ledger.stop(claim, Stop(code=StopCode.GAVE_UP, detail="why"))
    assert job_summary(user, job).state is JobState.QUEUED
    run(fleet, ledger, model)
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert breaches(fleet, drained=True) == ()


def test_where_the_budget_is_spent_the_hint_is_kept_and_what_to_type_is_said(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job, model = put(user, strategy="correct", budget=Budget(iterations=1)), ScriptedModel(Heeding())
    run(fleet, ledger, model)
    held_up = advise(user, job, ADVICE).held_up
    assert held_up is not None
    assert "iterations=1" in held_up
    assert f"{job} --budget iterations=2" in held_up
    assert job_summary(user, job).state is JobState.UNSOLVED
    assert breaches(fleet, drained=True) == ()
    lifecycle.retry(user, job, Changes(iterations=2))
    run(fleet, ledger, model)
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert breaches(fleet, drained=True) == ()


@pytest.mark.parametrize("state", ["cancelled", "quarantined", "failed"])
def test_a_job_that_ended_otherwise_says_how_it_takes_hints(user: Database, fleet: Database, state: str) -> None:
    job = put(user)
    end(fleet, job, state)
    with pytest.raises(InvalidInput, match=f"it is {state}, .*redraft retry {job}"):
        advise(user, job, ADVICE)
    assert hints_of(user, job) == ()


def test_an_accepted_job_takes_no_hint(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user)
    advise(user, job, ADVICE)
    run(fleet, ledger, ScriptedModel(Heeding()))
    with pytest.raises(InvalidInput, match=f"JOB: {job} is not allowed; it was accepted"):
        advise(user, job, "More of it.")


def test_only_its_owner_or_an_operator_advises_a_job(
    user: Database, fleet: Database, login: Callable[..., str]
) -> None:
    job = put(user)
    with Database(login("eve")) as eve:
        with pytest.raises(NoSuchJob):
            advise(eve, job, ADVICE)
        assert hints_of(eve, job) == ()
    advise(fleet, job, ADVICE)
    assert [hint.by for hint in hints_of(user, job)] == ["fleet"]


@pytest.mark.parametrize(
    ("advice", "why"),
    [(" \n\t", "it needs some words"), ("x" * 4001, "4001 characters.*4000 at most"), ("a\0b", "NUL")],
    ids=["blank", "long", "a NUL"],
)
def test_what_is_no_advice_is_refused(user: Database, advice: str, why: str) -> None:
    job = put(user)
    with pytest.raises(InvalidInput, match=why):
        advise(user, job, advice)
    assert hints_of(user, job) == ()


def test_all_hints_of_a_job_have_a_limit_together(user: Database) -> None:
    job = put(user)
    for _ in range(2):
        advise(user, job, "y" * 3500)
    with pytest.raises(InvalidInput, match=f"job {job} has 2 of at most 20 hints, with 7000 of at most 8000"):
        advise(user, job, "z" * 1001)
    assert len(hints_of(user, job)) == 2


def test_what_surely_does_not_fit_the_context_is_refused_with_numbers(user: Database, fleet: Database) -> None:
    with fleet.begin() as connection:
        connection.execute(
            text("""INSERT INTO workers (name, host, pid, lanes, slots, version, model, context_tokens, answer_tokens)
                    VALUES ('w', 'h', 1, '{gpu}', 2, '0', 'tiny', 2048, 1024)""")
        )
    job = put(user)
    with pytest.raises(InvalidInput, match=r"at least 800 tokens.*the context of tiny, 2,048, .*an answer of 1,024"):
        advise(user, job, "w" * 4000)
    advise(user, job, "w" * 1000)
    assert len(hints_of(user, job)) == 1


def test_a_fork_takes_over_the_hints_that_its_iterations_saw(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, strategy="correct", budget=Budget(iterations=2))
    advise(user, job, "Mind the order.")
    run(fleet, ledger, ScriptedModel(lambda request: "ANSWER: 1"))
    advise(user, job, ADVICE)
    copy = lifecycle.fork(user, job, 1, Changes())
    assert [(hint.text, hint.iteration) for hint in hints_of(user, copy)] == [("Mind the order.", 1)]
    assert [hint.text for hint in load_job(user, copy).hints] == ["Mind the order."]
