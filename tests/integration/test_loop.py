"""The loop on a real Postgres with a scripted model: crashes at every step end as the run without them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from tasks.errors import EngineFault, InvalidInput, Paused, ShuttingDown
from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.sampling import Sampling
from tasks.store import dispatch, lifecycle
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_history, job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import (
    Budget,
    Changes,
    ChatRequest,
    CheckSpec,
    Decision,
    Draft,
    Egress,
    Iteration,
    JobSpec,
    JobState,
    Lane,
    Limits,
    StopCode,
)
from tests.doubles import Death, Draining, Killed, Mortal
from tests.loops import ENGINE_AND_CHECKS, corrected, outlive, run, take, twin_loop

pytestmark = pytest.mark.integration
ANSWER = CheckSpec(name="answer:answer", kind="answer", value={"exact": "42"})
HIDDEN = CheckSpec(name="answer:hidden", kind="answer", value={"regex": "[0-9]+"}, held_out=True)


def put(user: Database, **fields: object) -> int:
    made = JobSpec(
        title="t", problem="What is six times seven?", checks=(ANSWER, HIDDEN), egress=Egress.NEVER, **fields
    )  # type: ignore[arg-type]
    return submit_jobs(user, [made])[0].job


def final(user: Database, job: int) -> tuple[object, ...]:
    """What a run came to, without moments and workers."""
    summary = job_summary(user, job)
    rounds = [
        (i.iteration, i.operator, i.candidate, i.score, i.decision, i.completion_tokens) for i in job_history(user, job)
    ]
    return (
        summary.state,
        summary.answer,
        summary.answer_iteration,
        summary.acceptance,
        summary.spend.local_tokens,
        rounds,
    )


def test_a_job_is_corrected_until_the_held_out_check_accepts(user: Database, fleet: Database) -> None:
    job = put(user)
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(corrected))
    summary = job_summary(user, job)
    assert (summary.state, summary.acceptance, summary.answer_iteration) == (JobState.ACCEPTED, "verified", 3)
    assert "ANSWER: 42" in (summary.answer or "")
    assert [i.operator for i in job_history(user, job)] == ["draft", "revise", "revise"]


def test_a_crash_before_or_after_any_write_changes_nothing(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    expected_job = put(user)
    run(fleet, ledger, ScriptedModel(corrected))
    expected = final(user, expected_job)
    crashes = 0
    for after in (False, True):
        for fatal in itertools.count():
            job, death = put(user), Death(fatal, after=after)
            while (claim := take(fleet)) is not None:
                try:
                    mortal: Any = Mortal(ledger, death)
                    twin_loop(mortal, ScriptedModel(corrected)).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
                except Killed:
                    crashes += 1
                    outlive(fleet)
            assert final(user, job) == expected
            if not death.at:
                break
    assert crashes >= 8  # every kind of write, before and after


def test_each_step_runs_on_its_lane_and_the_lease_is_handed_over(user: Database, fleet: Database) -> None:
    job, ledger, model = put(user), PostgresLedger(fleet, fault_cap=3), ScriptedModel(corrected)
    claim = take(fleet)
    assert claim is not None
    twin_loop(ledger, model).turn(claim, frozenset({Lane.GPU}), SilentHeartbeat())
    assert dispatch.claim(fleet, [Lane.GPU], "w", "t", dispatch.ClaimRules()) is None
    checker = dispatch.claim(fleet, [Lane.CHECK], "w", "t", dispatch.ClaimRules())
    assert checker is not None
    twin_loop(ledger, model).turn(checker, frozenset({Lane.CHECK}), SilentHeartbeat())
    assert job_summary(user, job).iterations == 1
    assert dispatch.claim(fleet, [Lane.GPU], "w", "t", dispatch.ClaimRules()) is not None


def test_a_spent_budget_ends_unsolved_with_the_incumbent(user: Database, fleet: Database) -> None:
    job = put(user, budget=Budget(iterations=2))
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(lambda request: f"ANSWER: {request.seed % 7}"))
    summary = job_summary(user, job)
    assert summary.state is JobState.UNSOLVED
    assert summary.reason == "the budget of 2 iterations is spent"
    assert (summary.stop_code, summary.stop_used, summary.stop_limit) == (StopCode.BUDGET_ITERATIONS, 2, 2)
    assert [row.stop_code for row in job_history(user, job)] == [None, StopCode.BUDGET_ITERATIONS]
    assert summary.answer


def test_tokens_never_pass_the_budget(user: Database, fleet: Database) -> None:
    job = put(user, budget=Budget(tokens=400))
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(lambda request: "no " * 500), width=2)
    summary = job_summary(user, job)
    assert summary.state is JobState.UNSOLVED
    assert summary.spend.local_tokens <= 400


def test_a_degenerate_draft_is_tried_three_times_and_never_shown_again(user: Database, fleet: Database) -> None:
    prompts: list[str] = []

    def endless(request: ChatRequest) -> str:
        prompts.append(request.messages[-1].content)
        return "round and round it goes, " * 200

    job = put(user, budget=Budget(iterations=2))
    ledger = PostgresLedger(fleet, fault_cap=3)
    run(fleet, ledger, ScriptedModel(endless, context_tokens=8192))
    rounds = job_history(user, job)
    assert [(i.operator, i.guard) for i in rounds] == [("draft", "cycle"), ("restart", "cycle")]
    assert len(prompts) == 6
    assert not any("round and round" in prompt for prompt in prompts)
    assert job_summary(user, job).answer is None


def test_a_right_answer_that_looks_like_a_loop_gets_through_to_the_checks(user: Database, fleet: Database) -> None:
    answer = "".join(f"Day {n}: the lamp at the gate is lit.\n" for n in range(40)) + "ANSWER: 42"
    job = put(user, budget=Budget(iterations=2))
    model = ScriptedModel(lambda request: answer, context_tokens=8192)
    run(fleet, PostgresLedger(fleet, fault_cap=3), model, sampling=Sampling(answer_tokens=1024))
    summary, (only,) = job_summary(user, job), job_history(user, job)
    assert (summary.state, summary.answer) == (JobState.ACCEPTED, answer)
    assert (only.guard, only.let_through) == (None, "template")
    with user.begin() as connection:
        query = text("SELECT guard -> 'let_through' AS through FROM call_history WHERE job = :job ORDER BY attempt")
        assert [row.through for row in connection.execute(query, {"job": job})] == [None, None, True]


def test_an_engine_that_fails_delays_the_job_and_its_work_goes_on_when_it_is_back(
    user: Database, fleet: Database
) -> None:
    ill = itertools.chain([True], itertools.repeat(False))

    def answers(request: ChatRequest) -> str:
        if next(ill):
            raise EngineFault("it hung")
        return corrected(request)

    job = put(user)
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(answers))
    assert job_summary(user, job).state is JobState.ACCEPTED
    with fleet.connect() as connection:
        noted = connection.execute(
            text("SELECT detail FROM events WHERE job_id = :j AND kind = 'fault'"), {"j": job}
        ).scalar_one()
    assert noted == "engine: it hung"


class Stopping(SilentHeartbeat):
    """A heartbeat that stops the step at its n-th check."""

    def __init__(self, error: Exception, after: int) -> None:
        self._error, self._left = error, after

    def check(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise self._error


def test_a_job_paused_at_any_step_ends_as_the_run_without_a_pause(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    expected_job = put(user)
    run(fleet, ledger, ScriptedModel(corrected))
    expected, pauses = final(user, expected_job), 0
    for after in itertools.count():
        job = put(user)
        claim = take(fleet)
        assert claim is not None
        lifecycle.request_pause(user, job)
        twin_loop(ledger, ScriptedModel(corrected)).turn(
            claim, ENGINE_AND_CHECKS, Stopping(Paused("by its owner"), after)
        )
        assert job_summary(user, job).state is JobState.PAUSED
        assert take(fleet) is None
        recorded = job_summary(user, job).iterations
        pauses += recorded == 0
        lifecycle.resume(user, job)
        run(fleet, ledger, ScriptedModel(corrected))
        assert final(user, job) == expected
        if recorded:
            break
    assert pauses >= 2


def events(fleet: Database, job: int) -> list[str]:
    with fleet.connect() as connection:
        found = connection.execute(text("SELECT kind FROM events WHERE job_id = :j ORDER BY id"), {"j": job})
        return list(found.scalars())


def test_a_job_handed_back_at_any_checkpoint_is_free_at_once_and_asks_for_nothing_twice(
    user: Database, fleet: Database
) -> None:
    ledger, prompts = PostgresLedger(fleet, fault_cap=3), list[str]()

    def counted(request: ChatRequest) -> str:
        prompts.append(request.messages[-1].content)
        return corrected(request)

    expected_job = put(user)
    run(fleet, ledger, ScriptedModel(counted))
    expected, asked = final(user, expected_job), list(prompts)
    for after in itertools.count():
        prompts.clear()
        job = put(user)
        claim = take(fleet)
        assert claim is not None
        twin_loop(ledger, ScriptedModel(counted)).turn(claim, ENGINE_AND_CHECKS, Draining(after))
        assert after or not prompts, "the first checkpoint is before the first call"
        handed_back = "handed back" in events(fleet, job)
        run(fleet, ledger, ScriptedModel(counted))
        assert final(user, job) == expected
        assert prompts == asked
        if not handed_back:
            break
    assert after >= 2


def test_a_turn_that_its_worker_ends_is_taken_up_before_any_other(user: Database, fleet: Database) -> None:
    job = put(user)
    ledger = PostgresLedger(fleet, fault_cap=3)
    claim = take(fleet)
    assert claim is not None
    put(user, priority=9)
    ending = Stopping(ShuttingDown("the worker is told to stop"), 1)
    twin_loop(ledger, ScriptedModel(corrected)).turn(claim, ENGINE_AND_CHECKS, ending)
    again = take(fleet)
    assert again is not None
    assert again.job == job


def test_a_retried_job_goes_on_with_its_history_and_its_larger_budget(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    whole = put(user)
    run(fleet, ledger, ScriptedModel(corrected))
    rounds = [row.candidate for row in job_history(user, whole)]
    job = put(user, budget=Budget(iterations=1))
    run(fleet, ledger, ScriptedModel(corrected))
    assert job_summary(user, job).state is JobState.UNSOLVED
    lifecycle.retry(user, job, Changes(iterations=5))
    run(fleet, ledger, ScriptedModel(corrected))
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert [row.candidate for row in job_history(user, job)] == rounds
    assert breaches(fleet, drained=True) == ()


def test_a_job_that_ran_out_of_tokens_between_records_goes_on_with_more(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    job = put(user, budget=Budget(tokens=400))
    run(fleet, ledger, ScriptedModel(corrected))
    ended = job_summary(user, job)
    assert (ended.stop_code, ended.stop_limit) == (StopCode.BUDGET_TOKENS, 400)
    assert ended.stop_used is not None
    assert ended.stop_used < 400, "nothing is spent that was not used: the next call did not fit"
    assert ended.reason.startswith("the next call may take")
    with pytest.raises(InvalidInput, match="'tokens=400' is not allowed; the next call does not fit; give more"):
        lifecycle.retry(user, job, Changes())
    lifecycle.retry(user, job, Changes(tokens=40_000))
    run(fleet, ledger, ScriptedModel(corrected))
    assert job_summary(user, job).state is JobState.ACCEPTED


def test_a_fork_goes_its_own_way_from_the_iteration_it_began_with(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    job = put(user)
    run(fleet, ledger, ScriptedModel(corrected))
    forked = lifecycle.fork(user, job, 1, Changes())
    seeds: set[int] = set()

    def other(request: ChatRequest) -> str:
        seeds.add(request.seed)
        return corrected(request)

    run(fleet, ledger, ScriptedModel(other))
    summary = job_summary(user, forked)
    assert (summary.state, summary.iterations) == (JobState.ACCEPTED, 3)
    with fleet.connect() as connection:
        asked = text("SELECT (request ->> 'seed')::bigint FROM calls WHERE job_id = :j")
        assert seeds.isdisjoint(connection.execute(asked, {"j": job}).scalars())
        began = text("SELECT min(iteration) FROM calls WHERE job_id = :j")
        assert connection.execute(began, {"j": forked}).scalar_one() == 2
    assert breaches(fleet, submitted=[job, forked], drained=True) == ()


class Buggy:
    """A strategy that fails once it has a history to look at."""

    name = "correct"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        if history:
            raise ZeroDivisionError("a bug of the strategy")
        return Draft(slots=1)


def test_a_bug_ends_the_job_at_once_with_its_traceback_and_nothing_is_counted_as_a_crash(
    user: Database, fleet: Database
) -> None:
    job = put(user)
    claim = take(fleet)
    assert claim is not None
    model = ScriptedModel(lambda request: "ANSWER: 7")
    loop = twin_loop(PostgresLedger(fleet, fault_cap=3), model, strategies={"correct": Buggy()})
    loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
    summary = job_summary(user, job)
    assert (summary.state, summary.stop_code) == (JobState.FAILED, StopCode.DEFECT)
    assert "ZeroDivisionError: a bug of the strategy" in summary.reason
    with fleet.connect() as connection:
        query = text("SELECT detail FROM events WHERE job_id = :j AND kind = 'defect'")
        traceback = connection.execute(query, {"j": job}).scalar_one()
        counts = text("SELECT crashes, faults FROM jobs WHERE id = :j")
        assert tuple(connection.execute(counts, {"j": job}).one()) == (0, 0)
    assert "in decide" in traceback
    assert take(fleet) is None
    assert breaches(fleet, drained=True) == ()
    lifecycle.retry(user, job, Changes())
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(lambda request: "ANSWER: 42"))
    assert job_summary(user, job).state is JobState.ACCEPTED, "its work was kept"
