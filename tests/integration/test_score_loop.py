"""Jobs with a score on a real Postgres: the incumbent, how they end, and that no crash makes the answer worse."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.ports import Heartbeat
from tasks.scoring import SCORE
from tasks.store import lifecycle
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_history, job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, Changes, ChatRequest, CheckSpec, Egress, JobSpec, JobState, StopCode, Verdict
from tasks.validators import registry
from tests.doubles import Death, Killed, Mortal
from tests.loops import ENGINE_AND_CHECKS, outlive, run, take, twin_loop

pytestmark = pytest.mark.integration


class MeasuredChecks:
    """Scores without a sandbox: a candidate's value is the number that it ends with; without one it is invalid."""

    def examine(self, checks: Sequence[CheckSpec]) -> None:
        pass

    def validate(self, candidate: str, checks: Sequence[CheckSpec], heartbeat: Heartbeat) -> tuple[Verdict, ...]:
        word = candidate.rsplit(maxsplit=1)[-1]
        value = None if word == "none" else float(word)
        passed = value is not None
        return tuple(
            Verdict(
                check=check.name,
                kind=SCORE,
                passed=passed,
                score=float(passed),
                held_out=check.held_out,
                value=value,
                metrics={"length": float(len(candidate))},
            )
            for check in checks
        )

    def behaviour(self, *args: object) -> None:
        return None

    def grade(self, verdicts: Sequence[Verdict], checks: Sequence[CheckSpec]) -> tuple[float, bool]:
        return registry.score(verdicts, checks), registry.accepted(verdicts, checks)


def put(
    user: Database,
    *,
    iterations: int = 6,
    strategy: str = "best_of_n",
    tokens: int = 2_000_000,
    evaluations: int | None = None,
    **options: Any,
) -> int:
    check = CheckSpec(name="score:evaluate.py", kind=SCORE, value={"goal": "maximise", **options})
    made = JobSpec(
        title="t",
        problem="Pack the circles.",
        checks=(check,),
        egress=Egress.NEVER,
        strategy=strategy,
        budget=Budget(iterations=iterations, tokens=tokens, evaluations=evaluations),
    )
    return submit_jobs(user, [made])[0].job


def saying(*values: float | None) -> Any:
    """A model whose n-th new answer has the n-th value; the same request has the same answer."""
    known: dict[int, int] = {}

    def answer(request: ChatRequest) -> str:
        number = known.setdefault(request.seed, len(known))
        value = values[number % len(values)]
        return f"answer {number}: {'none' if value is None else value}"

    return answer


def values_of(user: Database, job: int) -> list[tuple[float | None, bool]]:
    return [(row.value, row.improved) for row in job_history(user, job)]


@pytest.mark.parametrize(
    ("goal", "values", "best", "improved"),
    [
        ("maximise", [-5.0, -2.0, None, -2.0, -3.0, -1.0], -1.0, [True, True, False, False, False, True]),
        ("minimise", [-5.0, -2.0, None, 4.0, -7.5, -7.5], -7.5, [True, False, False, False, True, False]),
    ],
)
def test_the_best_valid_candidate_is_accepted_when_the_budget_is_spent(
    user: Database, fleet: Database, goal: str, values: list[float | None], best: float, improved: list[bool]
) -> None:
    job = put(user, goal=goal)
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(saying(*values)), checks=MeasuredChecks())
    summary = job_summary(user, job)
    assert (summary.state, summary.stop_code, summary.value) == (JobState.ACCEPTED, StopCode.ACCEPTED, best)
    assert summary.stop_ended_by is StopCode.BUDGET_ITERATIONS
    assert summary.reason.endswith(f"has the best score, {best:g}; the budget of 6 iterations is spent")
    assert summary.answer is not None
    assert float(summary.answer.split()[-1]) == best
    assert values_of(user, job) == list(zip(values, improved, strict=True))
    assert job_history(user, job)[0].verdicts[0].metrics == {"length": float(len("answer 0: -5.0"))}
    assert breaches(fleet, submitted=[job], drained=True) == ()


def test_a_target_that_was_not_reached_leaves_the_best_and_the_job_unsolved(user: Database, fleet: Database) -> None:
    job = put(user, target=9)
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(saying(1.0, 8.5, None)), checks=MeasuredChecks())
    summary = job_summary(user, job)
    assert (summary.state, summary.stop_code, summary.value) == (JobState.UNSOLVED, StopCode.BUDGET_ITERATIONS, 8.5)
    assert breaches(fleet, submitted=[job], drained=True) == ()


@pytest.mark.parametrize("target", [None, 9])
def test_a_budget_that_pays_for_no_further_call_ends_the_job_with_its_best(
    user: Database, fleet: Database, target: float | None
) -> None:
    job = put(user, target=target, tokens=900, iterations=30)
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(saying(2.0, 7.0, 1.0)), checks=MeasuredChecks())
    end = job_summary(user, job)
    assert 3 <= end.iterations < 30
    assert end.value == 7.0
    if target is None:
        assert (end.state, end.stop_ended_by) == (JobState.ACCEPTED, StopCode.BUDGET_TOKENS)
        assert "has the best score, 7; the next call may take" in end.reason
    else:
        assert (end.state, end.stop_code) == (JobState.UNSOLVED, StopCode.BUDGET_TOKENS)
    assert breaches(fleet, submitted=[job], drained=True) == ()


def test_a_target_ends_the_job_at_once_and_a_plateau_when_nothing_comes(user: Database, fleet: Database) -> None:
    reached, still = put(user, target=2, goal="minimise"), put(user, plateau={"iterations": 2, "improvement": 0.5})
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(saying(3.0, 2.0)), checks=MeasuredChecks())
    end = job_summary(user, reached)
    assert (end.state, end.value, end.stop_ended_by) == (JobState.ACCEPTED, 2.0, None)
    assert "passed every check with the score 2" in end.reason
    end = job_summary(user, still)
    assert (end.state, end.stop_ended_by) == (JobState.ACCEPTED, StopCode.PLATEAU)
    assert end.iterations < 6
    assert breaches(fleet, submitted=[reached, still], drained=True) == ()


def test_a_gain_within_the_noise_replaces_nothing(user: Database, fleet: Database) -> None:
    job = put(user, noise=0.5, iterations=4)
    values = [1.0, 1.4, 1.5, 1.6]
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(saying(*values)), checks=MeasuredChecks())
    assert values_of(user, job) == list(zip(values, [True, False, False, True], strict=True))
    assert job_summary(user, job).value == 1.6
    assert breaches(fleet, submitted=[job], drained=True) == ()


def test_a_fork_and_a_retry_go_on_from_the_incumbent(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    job = put(user, noise=0.5, iterations=4, target=50)
    run(fleet, ledger, ScriptedModel(saying(1.0, 2.0, 2.3, 2.4)), checks=MeasuredChecks())
    fork = lifecycle.fork(user, job, 3, Changes(iterations=4))
    assert job_summary(user, fork).value == 2.0, "2.3 was within the noise"
    lifecycle.retry(user, job, Changes(iterations=5))
    run(fleet, ledger, ScriptedModel(saying(2.4)), checks=MeasuredChecks())
    assert [job_summary(user, number).value for number in (job, fork)] == [2.0, 2.0]
    assert breaches(fleet, submitted=[job, fork], drained=True) == ()


def hashed(request: ChatRequest) -> str:
    """An answer that depends on its request alone; a third of them are invalid."""
    number = zlib.crc32(f"{request.seed}{request.messages[-1].content}".encode())
    return "answer none" if number % 3 == 0 else f"answer {number % 1000 - 500}"


@pytest.mark.slow  # test_evolve.py crashes jobs with a score at any write
@pytest.mark.parametrize("strategy", ["best_of_n", "correct"])
def test_no_crash_makes_the_answer_another_or_a_worse_one(user: Database, fleet: Database, strategy: str) -> None:
    ledger, checks = PostgresLedger(fleet, fault_cap=3), MeasuredChecks()

    def outcome(job: int) -> tuple[object, ...]:
        end = job_summary(user, job)
        return end.state, end.value, end.reason, values_of(user, job)

    whole = put(user, iterations=4, strategy=strategy)
    run(fleet, ledger, ScriptedModel(hashed), checks=checks)
    expected, crashes, jobs = outcome(whole), 0, [whole]
    for after in (False, True):
        for fatal in itertools.count():
            job, death = put(user, iterations=4, strategy=strategy), Death(fatal, after=after)
            jobs.append(job)
            best = None
            while (claim := take(fleet)) is not None:
                try:
                    mortal: Any = Mortal(ledger, death)
                    turn = twin_loop(mortal, ScriptedModel(hashed), checks=checks)
                    turn.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
                except Killed:
                    crashes += 1
                    outlive(fleet)
                now = job_summary(user, job).value
                assert best is None or (now is not None and now >= best)
                best = now
            assert outcome(job) == expected
            if not death.at:
                break
    assert crashes >= 20
    assert breaches(fleet, submitted=jobs, drained=True) == ()


@pytest.mark.parametrize("strategy", ["best_of_n", "evolve"])
def test_exactly_the_budgeted_evaluations_are_made_and_the_best_of_them_is_the_answer(
    user: Database, fleet: Database, strategy: str
) -> None:
    values = [float(value) for value in (3, 1, 4, 1, 5, 9, 2, 6)]
    job = put(user, strategy=strategy, iterations=30, evaluations=7)
    run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(saying(*values)), checks=MeasuredChecks(), width=2)
    summary = job_summary(user, job)
    assert (summary.state, summary.stop_ended_by) == (JobState.ACCEPTED, StopCode.BUDGET_EVALUATIONS)
    assert summary.reason.endswith("the budget of 7 evaluations is spent")
    with user.connect() as connection:
        query = text("SELECT count(*), max(value) FROM verdicts WHERE job_id = :job")
        count, best = connection.execute(query, {"job": job}).one()
    assert (count, summary.value) == (7, best)
    assert breaches(fleet, submitted=[job], drained=True) == ()
