"""The second agent in the loop, on a real Postgres: what an acceptance rests on, and that no crash changes it."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.judge_panel import VOTES_ALONE, ModelJudgePanel
from tasks.judge_rates import NEVER_MEASURED, JudgeRates
from tasks.llm.scripted import ScriptedModel
from tasks.loop import Loop
from tasks.prompts.judging import DIGEST
from tasks.sampling import Sampling
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_history, job_summary, list_jobs
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.store.summaries import JudgedBy
from tasks.types import Budget, ChatRequest, CheckSpec, JobSpec, JobState, Lane, StopCode
from tests.doubles import Death, Killed, Mortal
from tests.loops import ENGINE_AND_CHECKS, outlive, take, twin_loop
from tests.unit.test_judge_rates import rates

pytestmark = pytest.mark.integration
JUDGE = CheckSpec(name="judge", kind="judge", value="It greets the reader.")
SECRET = CheckSpec(name="judge#2", kind="judge", value="It names the §hidden§ price.", held_out=True)
ANSWER = CheckSpec(name="answer", kind="answer", value={"regex": "[0-9]+"})


def writer_and_judge(request: ChatRequest) -> str:
    """Forgets to greet, is told so by the judge, and greets; each answer is a function of its prompt."""
    prompt = request.messages[-1].content
    rude = "\nThe lift is closed." in prompt
    if request.choices:
        return "FAIL" if "- `The lift is closed.`" in prompt else "PASS"
    if "You are a judge" in prompt:
        return "- `The lift is closed.` comes without a greeting" if rude else "NO PROBLEMS"
    if "comes without a greeting" in prompt or "List the problems" in prompt:
        return "Dear all, the lift is closed.\nANSWER: 1"
    return "The lift is closed.\nANSWER: 1"


def loop(ledger: Any, model: ScriptedModel, known: JudgeRates = NEVER_MEASURED) -> Loop:
    sampling = Sampling(answer_tokens=64, review_tokens=64)
    return twin_loop(
        ledger, model, judge_panel=lambda model: ModelJudgePanel(model=model, rates=known), sampling=sampling
    )


def put(user: Database, *checks: CheckSpec, **fields: Any) -> int:
    return submit_jobs(user, [JobSpec(title="t", problem="Say that the lift is closed.", checks=checks, **fields)])[
        0
    ].job


def run(fleet: Database, model: ScriptedModel, known: JudgeRates = NEVER_MEASURED) -> None:
    while (claim := take(fleet)) is not None:
        loop(PostgresLedger(fleet, fault_cap=3), model, known).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())


def final(user: Database, job: int) -> tuple[object, ...]:
    summary = job_summary(user, job)
    said = [
        (v.check, v.passed, v.score, v.feedback) for iteration in job_history(user, job) for v in iteration.verdicts
    ]
    return summary.state, summary.answer, summary.acceptance, summary.spend.local_tokens, said


@pytest.mark.parametrize(
    ("checks", "acceptance", "votes"),
    [((JUDGE,), "judged", 5), ((JUDGE, SECRET), "judged", 10), ((ANSWER, JUDGE), "verified", 3)],
)
def test_what_judges_alone_accept_is_judged_and_what_a_program_accepts_too_is_verified(
    user: Database, fleet: Database, checks: tuple[CheckSpec, ...], acceptance: str, votes: int
) -> None:
    job = put(user, *checks)
    run(fleet, ScriptedModel(writer_and_judge))
    summary = job_summary(user, job)
    assert (summary.state, summary.acceptance, summary.answer_iteration) == (JobState.ACCEPTED, acceptance, 2)
    first, second = job_history(user, job)
    assert [(v.check, v.passed) for v in first.verdicts][-1] == ("judge", False)
    assert first.verdicts[-1].feedback == "- `The lift is closed.` comes without a greeting"
    assert all(v.passed for v in second.verdicts)
    with fleet.connect() as connection:
        asked = connection.execute(
            text("SELECT count(*) FROM calls WHERE job_id = :j AND operator = 'judge' AND iteration = 2"), {"j": job}
        ).scalar_one()
    assert asked == 2 * votes
    expected = JudgedBy(model="scripted", votes=VOTES_ALONE) if acceptance == "judged" else None
    assert summary.judged_by == expected


def test_the_votes_of_a_measured_model_are_as_many_as_it_takes_and_the_result_tells_them(
    user: Database, fleet: Database
) -> None:
    job = put(user, JUDGE)
    known = JudgeRates(models={"scripted": rates((99, 40), (98, 0), prompts=DIGEST)})
    run(fleet, ScriptedModel(writer_and_judge), known)
    summary = job_summary(user, job)
    assert (summary.state, summary.judged_by) == (JobState.ACCEPTED, JudgedBy(model="scripted", votes=2))
    [listed] = [listed for listed in list_jobs(user) if listed.job == job]
    assert listed.judged_by == summary.judged_by


def test_an_invalid_vote_is_none_of_those_that_passed(user: Database, fleet: Database) -> None:
    def unsure(request: ChatRequest) -> str:
        prompt = request.messages[-1].content
        if request.choices:
            return "FAIL" if "somewhere" in prompt else "PASS"
        if "You are a judge" in prompt:
            return "It is `somewhere` bad." if "Work the problem out" in prompt else "NO PROBLEMS"
        return "somewhere" if "You are a judge" in prompt else "Dear all."

    job = put(user, JUDGE)
    run(fleet, ScriptedModel(unsure))
    assert job_summary(user, job).judged_by == JudgedBy(model="scripted", votes=VOTES_ALONE)


@pytest.mark.parametrize("checks", [(ANSWER,), (dataclasses.replace(ANSWER, held_out=True),)], ids=["seen", "held out"])
def test_no_judge_is_asked_where_checks_decide(user: Database, fleet: Database, checks: tuple[CheckSpec, ...]) -> None:
    job = put(user, *checks)
    run(fleet, ScriptedModel(writer_and_judge))
    summary = job_summary(user, job)
    assert (summary.state, summary.acceptance, summary.judged_by) == (JobState.ACCEPTED, "verified", None)
    assert judges_calls(fleet, job) == 0


@pytest.mark.parametrize("held_out", [False, True])
def test_no_judge_is_asked_about_what_a_check_rejects(user: Database, fleet: Database, held_out: bool) -> None:
    never = CheckSpec(name="answer", kind="answer", value={"exact": "none of these"}, held_out=held_out)
    job = put(user, never, JUDGE, budget=Budget(iterations=3))
    run(fleet, ScriptedModel(writer_and_judge))
    assert job_summary(user, job).state is JobState.UNSOLVED
    assert judges_calls(fleet, job) == 0


def judges_calls(fleet: Database, job: int) -> int:
    with fleet.connect() as connection:
        query = text("SELECT count(*) FROM calls WHERE job_id = :j AND operator = 'judge'")
        return int(connection.execute(query, {"j": job}).scalar_one())


def test_nobody_but_its_judge_ever_sees_a_held_out_rubric(user: Database, fleet: Database) -> None:
    job = put(user, JUDGE, SECRET)
    run(fleet, ScriptedModel(writer_and_judge))
    with fleet.connect() as connection:
        shown = connection.execute(
            text("SELECT operator FROM calls WHERE job_id = :j AND request::text LIKE '%hidden%'"), {"j": job}
        ).scalars()
    assert set(shown) == {"judge"}


def test_a_crash_after_any_write_changes_nothing(user: Database, fleet: Database) -> None:
    expected_job = put(user, ANSWER, JUDGE)
    run(fleet, ScriptedModel(writer_and_judge))
    expected = final(user, expected_job)
    for fatal in itertools.count():
        job, death = put(user, ANSWER, JUDGE), Death(fatal, after=True)
        while (claim := take(fleet)) is not None:
            ledger = Mortal(PostgresLedger(fleet, fault_cap=3), death)
            try:
                loop(ledger, ScriptedModel(writer_and_judge)).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
            except Killed:
                outlive(fleet)
        assert final(user, job) == expected
        if not death.at:
            break
    assert fatal >= 16  # every kind of write, those of the judges' calls among them


def test_judges_are_asked_on_the_engines_lane_after_the_checks(user: Database, fleet: Database) -> None:
    put(user, ANSWER, JUDGE)
    model = ScriptedModel(writer_and_judge)
    for lane in (Lane.GPU, Lane.CHECK, Lane.GPU):
        claim = take(fleet, lane)
        assert claim is not None
        loop(PostgresLedger(fleet, fault_cap=3), model).turn(claim, frozenset({lane}), SilentHeartbeat())
    with fleet.connect() as connection:
        operators = connection.execute(text("SELECT DISTINCT operator FROM calls")).scalars()
        assert "judge" in set(operators)


def test_a_budget_that_the_judges_use_up_ends_unsolved(user: Database, fleet: Database) -> None:
    job = put(user, ANSWER, JUDGE, budget=Budget(tokens=1_000))
    run(fleet, ScriptedModel(writer_and_judge))
    summary = job_summary(user, job)
    assert summary.state is JobState.UNSOLVED
    assert (summary.stop_code, summary.stop_limit) == (StopCode.BUDGET_TOKENS, 1000)
    assert summary.spend.local_tokens <= 1_000
