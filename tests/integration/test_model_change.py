"""A job goes on with another model: what it can't go on from is set aside, kept and billed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sqlalchemy import text

from tasks.errors import InvalidInput, JournalMismatch
from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.outcomes import settle
from tasks.sampling import Sampling
from tasks.store import dispatch, lifecycle
from tasks.store.invariants import breaches
from tasks.store.journal import SET_ASIDE_CAP
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_history, job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import (
    CallKey,
    Changes,
    ChatRequest,
    CheckSpec,
    Completion,
    Egress,
    JobSpec,
    JobState,
    Lane,
    Message,
    Operator,
    StopCode,
)
from tests.doubles import Death, Killed, Mortal
from tests.loops import ENGINE_AND_CHECKS, corrected, outlive, take, twin_loop
from workers.cli.history import document, set_aside

pytestmark = pytest.mark.integration
CHECK = CheckSpec(name="answer:answer", kind="answer", value={"exact": "42"})
OLD, NEW = Sampling(answer_tokens=64, review_tokens=32), Sampling(answer_tokens=48, review_tokens=16, temperature=0.4)
KEY = CallKey(iteration=1, operator=Operator.DRAFT, slot=0, attempt=1)


def put(user: Database) -> int:
    spec = JobSpec(title="t", problem="What is six times seven?", checks=(CHECK,), egress=Egress.NEVER)
    return submit_jobs(user, [spec])[0].job


def named(name: str) -> ScriptedModel:
    model = ScriptedModel(corrected)
    model.name = name
    return model


def turns(fleet: Database, ledger: Any, name: str, sampling: Sampling) -> None:
    """Until there is nothing to do, whoever dies of it."""
    while (claim := take(fleet)) is not None:
        try:
            twin_loop(ledger, named(name), sampling=sampling, width=2).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
        except Killed:
            outlive(fleet)
            return


def events(fleet: Database, job: int, kind: str) -> list[str]:
    query = text("SELECT detail FROM events WHERE job_id = :job AND kind = :kind ORDER BY id")
    with fleet.connect() as connection:
        return list(connection.execute(query, {"job": job, "kind": kind}).scalars())


def calls(fleet: Database, job: int) -> list[Any]:
    with fleet.connect() as connection:
        return list(connection.execute(text("SELECT * FROM call_history WHERE job = :job ORDER BY call"), {"job": job}))


def test_whatever_write_the_old_model_died_at_the_new_one_goes_on(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    aside = 0
    for fatal in itertools.count(1, 3):
        job, death = put(user), Death(fatal, after=True)
        turns(fleet, Mortal(ledger, death), "old", OLD)
        turns(fleet, ledger, "new", NEW)
        summary = job_summary(user, job)
        assert (summary.state, summary.answer_iteration) == (JobState.ACCEPTED, 3), summary.reason
        rows = calls(fleet, job)
        assert summary.spend.local_tokens == sum(row.prompt_tokens + row.completion_tokens for row in rows)
        assert all(row.model == "old" for row in rows if row.set_aside)
        assert bool(events(fleet, job, "set aside")) == any(row.set_aside for row in rows)
        aside += sum(row.set_aside for row in rows)
        told = [(row.iteration, call.operator, call.slot) for row in job_history(user, job) for call in row.set_aside]
        assert sorted(told) == sorted((row.iteration, row.operator, row.slot) for row in rows if row.set_aside)
        if not death.at:
            break
    assert aside >= 6  # drafts of both slots, reviews and revisions
    assert breaches(fleet, drained=True) == ()


def test_a_death_at_any_write_of_the_change_changes_nothing(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    for after, fatal in itertools.product((False, True), range(1, 4)):
        job = put(user)
        turns(fleet, Mortal(ledger, Death(2, after=True)), "old", OLD)  # begun, reserved, reserved or committed
        turns(fleet, Mortal(ledger, Death(fatal, after=after)), "new", NEW)
        turns(fleet, ledger, "new", NEW)
        assert job_summary(user, job).state is JobState.ACCEPTED
        assert len(job_history(user, job)) == 3


def test_a_call_is_set_aside_with_what_was_built_on_it_and_nothing_else(user: Database, fleet: Database) -> None:
    job, ledger = put(user), PostgresLedger(fleet, fault_cap=3)
    claim = take(fleet)
    assert claim is not None
    review, revise = (CallKey(iteration=1, operator=o, slot=0, attempt=1) for o in (Operator.REVIEW, Operator.REVISE))
    other = CallKey(iteration=1, operator=Operator.REVIEW, slot=1, attempt=1)
    for key in (review, other, revise):
        ledger.commit_call(claim, key, _request(), "h", _completion())
    ledger.set_aside(claim, review, JournalMismatch("m"))
    assert ledger.find_call(claim, review, "new") is None
    assert ledger.find_call(claim, revise, "h") is None
    assert ledger.find_call(claim, other, "h") is not None
    (event,) = events(fleet, job, "set aside")
    assert event.startswith("iteration 1, review 0: 2 calls of old;")


def test_the_history_says_what_was_set_aside_of_which_model(user: Database, fleet: Database) -> None:
    job, ledger = put(user), PostgresLedger(fleet, fault_cap=3)
    claim = take(fleet)
    assert claim is not None
    (first, second) = (CallKey(iteration=1, operator=Operator.DRAFT, slot=0, attempt=n) for n in (1, 2))
    for key in (first, second):
        ledger.commit_call(claim, key, _request(), "h", _completion())
    outlive(fleet)
    turns(fleet, ledger, "new", NEW)
    one, *later = job_history(user, job)
    assert [(call.operator, call.slot, call.attempt) for call in one.set_aside] == [("draft", 0, 1), ("draft", 0, 2)]
    assert list(set_aside(one)) == ["2 calls of old (draft), 4 tokens, kept and billed"]
    assert document(one)["set_aside"][1] == {
        "operator": "draft",
        "slot": 0,
        "attempt": 2,
        "step": "",
        "check": "",
        "vote": 0,
        "model": "old",
        "prompt_tokens": 1,
        "completion_tokens": 1,
    }
    assert all(row.set_aside == () == tuple(set_aside(row)) for row in later)


def test_prompts_that_differ_each_turn_end_the_job_until_it_is_retried(user: Database, fleet: Database) -> None:
    job, ledger = put(user), PostgresLedger(fleet, fault_cap=3)
    claim = take(fleet)
    assert claim is not None
    mismatch = JournalMismatch("m")

    def meet_another_prompt() -> None:
        ledger.commit_call(claim, KEY, _request(), "h", _completion())
        ledger.set_aside(claim, KEY, mismatch)

    for _ in range(SET_ASIDE_CAP):
        meet_another_prompt()
    with pytest.raises(JournalMismatch):
        meet_another_prompt()
    settle(ledger, claim, Lane.GPU, mismatch)
    assert job_summary(user, job).stop_code == StopCode.JOURNAL_MISMATCH
    lifecycle.retry(user, job, Changes())
    turns(fleet, ledger, "old", OLD)
    assert job_summary(user, job).state is JobState.ACCEPTED


def _request() -> ChatRequest:
    return ChatRequest(
        messages=(Message(role="user", content="p"),), max_tokens=1, seed=0, temperature=1.0, top_p=1.0, top_k=0
    )


def _completion() -> Completion:
    return Completion(
        text="t", finish_reason="stop", model="old", prompt_tokens=1, cached_tokens=0, completion_tokens=1, seconds=0.1
    )


# ── a job that names its model ───────────────────────────────────────────────────────────────


def pinned(user: Database, model: str, **fields: Any) -> int:
    spec = JobSpec(title="t", problem="six times seven", checks=(CHECK,), egress=Egress.NEVER, model=model, **fields)
    return submit_jobs(user, [spec])[0].job


def claim_as(fleet: Database, *models: str, lanes: tuple[Lane, ...] = (Lane.GPU,)) -> Any:
    return dispatch.claim(fleet, lanes, "w", "turn", dispatch.ClaimRules(models=frozenset(models)))


def register(fleet: Database, *models: str) -> None:
    with fleet.begin() as connection:
        connection.execute(
            text("""INSERT INTO workers (name, host, pid, lanes, slots, model, version, models)
                    VALUES ('w1', 'h', 1, '{gpu,check}', 4, :model, '0', CAST(:models AS text[]))"""),
            {"model": models[0], "models": list(models)},
        )


def runnable(fleet: Database) -> int:
    (gpu,) = dispatch.demand(fleet, ["gpu"])
    return gpu.runnable


def test_a_job_waits_for_the_model_that_it_names_and_wakes_nobody_meanwhile(user: Database, fleet: Database) -> None:
    job = pinned(user, "large")
    register(fleet, "small-q4", "small")
    assert claim_as(fleet, "small-q4", "small") is None
    assert runnable(fleet) == 0
    assert job_summary(user, job).model_awaited
    register_name = text("UPDATE workers SET models = '{large,large-q4}'")
    with fleet.begin() as connection:
        connection.execute(register_name)
    assert runnable(fleet) == 1
    assert not job_summary(user, job).model_awaited
    claim = claim_as(fleet, "large", "large-q4")
    assert claim is not None
    assert claim.job == job


def test_a_job_wakes_nobody_while_the_worker_that_serves_its_model_is_full(user: Database, fleet: Database) -> None:
    pinned(user, "large")
    with fleet.begin() as connection:
        connection.execute(
            text("""INSERT INTO workers (name, host, pid, lanes, slots, version, models)
                    VALUES ('w', 'h', 1, '{gpu}', 1, '0', '{large}'), ('w2', 'h', 2, '{gpu}', 4, '0', '{small}')""")
        )
    assert runnable(fleet) == 1
    assert claim_as(fleet, "large") is not None
    pinned(user, "large")
    assert runnable(fleet) == 0


def test_its_checks_run_anywhere_and_its_next_draft_does_not(user: Database, fleet: Database) -> None:
    job, ledger = pinned(user, "large"), PostgresLedger(fleet, fault_cap=3)
    claim = claim_as(fleet, "large")
    twin_loop(ledger, named("large"), models=frozenset({"large"})).turn(claim, frozenset({Lane.GPU}), SilentHeartbeat())
    claim = claim_as(fleet, "small", lanes=(Lane.GPU, Lane.CHECK))
    twin_loop(ledger, named("small"), models=frozenset({"small"})).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
    assert job_summary(user, job).iterations == 1
    assert claim_as(fleet, "small", lanes=(Lane.GPU, Lane.CHECK)) is None
    assert {row.model for row in calls(fleet, job)} == {"large"}


def test_a_fork_keeps_the_model_and_a_job_without_one_its_key(user: Database, fleet: Database) -> None:
    ledger, job = PostgresLedger(fleet, fault_cap=3), pinned(user, "large", key="k")
    while (claim := claim_as(fleet, "large", lanes=(Lane.GPU, Lane.CHECK))) is not None:
        twin_loop(ledger, named("large"), models=frozenset({"large"})).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
    fork = lifecycle.fork(user, job, 1, Changes())
    assert job_summary(user, fork).model == "large"
    assert claim_as(fleet, "small") is None
    with pytest.raises(InvalidInput, match="whose content is another"):
        pinned(user, "other", key="k")
