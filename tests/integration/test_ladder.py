"""The strategies `ladder` and `aggregate` on a real Postgres with a scripted model: a probe is resumed like any other
move, and the answer is the chosen one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.sampling import Sampling
from tasks.store import lifecycle
from tasks.store.invariants import breaches
from tasks.store.job_loader import load_job
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_history, job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, Changes, ChatRequest, CheckSpec, Egress, JobSpec, JobState, Lane, StopCode
from tests.doubles import Death, ExecutedChecks, Killed, Mortal
from tests.loops import ENGINE_AND_CHECKS, outlive, run, take, twin_loop

pytestmark = pytest.mark.integration
EXAMPLE = CheckSpec(name="python:t.py", kind="python", value="double(1) == 2")
SAMPLING = Sampling(answer_tokens=64, review_tokens=64)
# The first passes the example by chance; the others are right, each in its own words.
DRAFTS = ("x + 1", "2 * x", "x * 2", "x + x", "x << 1", "sum([x, x])")

PROBING = {"commit_inputs", "commit_behaviour"}


def drafts() -> ScriptedModel:
    """A model whose draft is a function of its seed alone, once the seeds are known, and which writes inputs."""
    order: dict[int, int] = {}

    def answer(request: ChatRequest) -> str:
        if "Write the calls now" in request.messages[-1].content:
            return "double(0)\ndouble(1)\ndouble(5)"
        number = order.setdefault(request.seed, len(order))
        return f"def double(x):\n    return {DRAFTS[number % len(DRAFTS)]}"

    return ScriptedModel(answer, context_tokens=8192)


def put(user: Database, **fields: Any) -> int:
    values = {"budget": Budget(iterations=12), "strategy": "ladder", **fields}
    spec = JobSpec(title="t", problem="Double it.", checks=(EXAMPLE,), egress=Egress.NEVER, seed=3, **values)
    return submit_jobs(user, [spec])[0].job


def go(fleet: Database, model: ScriptedModel, ledger: Any = None) -> None:
    ledger = ledger or PostgresLedger(fleet, fault_cap=3)
    run(fleet, ledger, model, checks=ExecutedChecks(), sampling=SAMPLING, width=1)


def final(user: Database, job: int) -> tuple[object, ...]:
    summary = job_summary(user, job)
    rounds = [
        (i.iteration, i.operator, i.candidate, i.decision, i.behaviour, i.inputs, i.completion_tokens)
        for i in job_history(user, job)
    ]
    return summary.state, summary.answer, summary.reason, summary.spend.local_tokens, rounds


def test_the_answer_is_of_the_largest_cluster_and_not_the_first_that_passed(user: Database, fleet: Database) -> None:
    job = put(user)
    go(fleet, drafts())
    summary, rounds = job_summary(user, job), job_history(user, job)
    assert (summary.state, summary.answer_iteration) == (JobState.ACCEPTED, 2)
    assert summary.reason == "candidate 2.0 passed every check, and 3 of 4 that did behave alike"
    assert summary.answer is not None
    assert "2 * x" in summary.answer
    assert [row.operator for row in rounds] == ["draft", "draft", "inputs", "draft", "draft"]
    assert rounds[2].inputs == ("double(0)", "double(1)", "double(5)")
    assert rounds[1].decision == "probe (inputs): 2 pass, and 2 of them differ"
    assert [row.behaviour for row in rounds] == ["1 2 6", "0 2 10", None, "0 2 10", "0 2 10"]
    assert breaches(fleet, submitted=[job], drained=True) == ()


def test_a_crash_before_or_after_any_write_of_a_probe_changes_nothing(user: Database, fleet: Database) -> None:
    ledger, model = PostgresLedger(fleet, fault_cap=3), drafts()
    expected_job = put(user)
    go(fleet, model, ledger)
    expected, died = final(user, expected_job), set[str]()
    for after in (False, True):
        for fatal in itertools.count():
            job, death = put(user), Death(fatal, after=after, only=PROBING)
            while (claim := take(fleet)) is not None:
                mortal: Any = Mortal(ledger, death)
                loop = twin_loop(mortal, model, checks=ExecutedChecks(), sampling=SAMPLING)
                try:
                    loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
                except Killed:
                    outlive(fleet)
            assert final(user, job) == expected
            if not death.at:
                break
            died.add(death.at)
    assert died == PROBING
    assert breaches(fleet, drained=True) == ()


def test_a_probe_asks_on_the_engines_lane_and_runs_on_that_of_the_checks(user: Database, fleet: Database) -> None:
    job, model = put(user), drafts()
    ledger, lanes = PostgresLedger(fleet, fault_cap=3), []
    for _ in range(20):
        for lane in (Lane.GPU, Lane.CHECK):
            if (claim := take(fleet, lane)) is not None:
                lanes.append(lane)
                loop = twin_loop(ledger, model, checks=ExecutedChecks(), sampling=SAMPLING)
                loop.turn(claim, frozenset({lane}), SilentHeartbeat())
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert lanes == [Lane.GPU, Lane.CHECK] * 5


def test_a_budget_that_pays_for_no_further_call_ends_with_the_choice(user: Database, fleet: Database) -> None:
    whole = put(user)
    go(fleet, drafts())
    tokens = job_summary(user, whole).spend.local_tokens
    ends = []
    for budget in range(tokens // 4, tokens, tokens // 12):
        job = put(user, budget=Budget(iterations=12, tokens=budget))
        go(fleet, drafts())
        summary = job_summary(user, job)
        assert summary.spend.local_tokens <= budget
        ends.append(summary.stop_code)
        assert (summary.stop_code is StopCode.ACCEPTED) == bool(summary.answer), summary.reason
    assert StopCode.ACCEPTED in ends
    assert breaches(fleet, drained=True) == ()


def test_its_state_and_its_fork_have_the_inputs_and_what_the_candidates_do(user: Database, fleet: Database) -> None:
    job, model = put(user), drafts()
    go(fleet, model)
    forked = lifecycle.fork(user, job, 3, Changes())
    copy = load_job(user, forked)
    assert copy.history == load_job(user, job).history[:3]
    assert copy.history[2].inputs
    assert [c.behaviour for i in copy.history for c in i.candidates] == ["1 2 6", "0 2 10"]
    go(fleet, model)
    assert job_summary(user, forked).state is JobState.ACCEPTED
    with fleet.connect() as connection:
        query = text("SELECT count(*) FROM calls WHERE job_id = :job AND operator = 'inputs'")
        assert connection.execute(query, {"job": forked}).scalar_one() == 0
    assert breaches(fleet, submitted=[job, forked], drained=True) == ()


def test_a_rejected_answer_that_comes_again_is_marked_and_its_tokens_are_counted(
    user: Database, fleet: Database
) -> None:
    right = CheckSpec(name="answer:answer", kind="answer", value="42")
    prompts: list[str] = []

    def answer(request: ChatRequest) -> str:
        prompts.append(request.messages[-1].content)
        return "Forty-one.\nANSWER: 41" if "another plan" in prompts[-1] else "I say\nANSWER: 41"

    spec = JobSpec(
        title="t",
        problem="6 * 7?",
        checks=(right,),
        egress=Egress.NEVER,
        strategy="ladder",
        budget=Budget(iterations=4),
    )
    job = submit_jobs(user, [spec])[0].job
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(answer), sampling=SAMPLING, width=2)
    rounds = job_history(user, job)
    assert [row.operator for row in rounds] == ["draft", "draft", "restart", "revise"]
    assert rounds[1].decision == "restart (2 slots): every draft was a rejected one again"
    marked = [[str(c.repeats) for c in iteration.candidates] for iteration in load_job(user, job).history]
    assert marked == [["None", "1.0"], ["1.0", "1.0"], ["1.0", "1.0"], ["1.0"]]
    assert [row.repeated_tokens for row in rounds[1:]] == [row.completion_tokens for row in rounds[1:]]
    assert 0 < rounds[0].repeated_tokens < rounds[0].completion_tokens
    redraft = next(prompt for prompt in prompts if "another plan" in prompt)
    assert "- I say\n" in redraft
    assert breaches(fleet, drained=True) == ()


def test_a_problem_that_two_reviews_find_impossible_ends_with_their_words(user: Database, fleet: Database) -> None:
    problem = "Define `double` so that `double(1) == 2` and `double(1) == 3` hold."
    check = CheckSpec(name="python:t.py", kind="python", value="double(1) == 2 and double(1) == 3", held_out=True)

    def answer(request: ChatRequest) -> str:
        if "IMPOSSIBLE" in request.messages[-1].content:
            return "IMPOSSIBLE: `double(1) == 2` and `double(1) == 3`: a function gives one value"
        return f"def double(x):\n    return {request.seed}"

    spec = JobSpec(title="t", problem=problem, checks=(check,), egress=Egress.NEVER, strategy="ladder")
    job = submit_jobs(user, [spec])[0].job
    model = ScriptedModel(answer, context_tokens=8192)
    run(fleet, PostgresLedger(fleet, fault_cap=3), model, checks=Executed(), sampling=SAMPLING, width=2)
    summary = job_summary(user, job)
    assert (summary.state, summary.stop_code) == (JobState.UNSOLVED, StopCode.IMPOSSIBLE)
    assert "`double(1) == 2` and `double(1) == 3`" in summary.reason
    assert summary.iterations == 3


class Executed(ExecutedChecks):
    """Text that is no program passes nothing."""

    def _verdict(self, candidate: str, check: CheckSpec) -> Any:
        return super()._verdict(candidate if candidate.startswith("def") else "def double(x): ...", check)
