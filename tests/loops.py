"""Whole jobs without an engine, as several tests run them: the loop over twins, a claim that waits for nobody, and
what is left behind by a holder who was killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import text

from tasks.deadline import Clock
from tasks.escalation import NoCloud
from tasks.heartbeat import SilentHeartbeat
from tasks.journal import JournalledModel
from tasks.judge_panel import NoJudgePanel
from tasks.lesson_service import NoLessonService
from tasks.loop import Loop
from tasks.operators import Operators
from tasks.policy import Aggregation, BestOfN, Climb, Correct, Evolve, Ladder, LoopRules, SelfConsistency, Single
from tasks.ports import ChatModel, Checks, Cloud, JudgePanel, LessonService, Strategy
from tasks.sampling import Sampling
from tasks.store import dispatch, reaping
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import ChatRequest, CheckSpec, Claim, JobSpec, JobState, Lane
from tasks.validation import Validation
from tasks.validators.checks import RegisteredChecks
from tests.doubles import NoSandbox

PACKAGED: tuple[Strategy, ...] = (
    Correct(),
    Single(),
    BestOfN(),
    SelfConsistency(),
    Ladder(),
    Aggregation(),
    Evolve(),
    Climb(),
)
ENGINE_AND_CHECKS = frozenset({Lane.GPU, Lane.CHECK})


def twin_loop(
    ledger: Any,
    model: ChatModel,
    *,
    judge_panel: Callable[[JournalledModel], JudgePanel] = lambda model: NoJudgePanel(),
    lesson_service: Callable[[JournalledModel], LessonService] = lambda model: NoLessonService(),
    sampling: Sampling | None = None,
    sandbox: Any = None,
    checks: Checks | None = None,
    cloud: Cloud | None = None,
    strategies: Mapping[str, Strategy] | None = None,
    clock: Clock = time.monotonic,
    **rules: Any,
) -> Loop:
    """A loop with no cloud, no judge panel, no lesson service and no sandbox, but for those that a test gives it;
    `rules` are fields of `LoopRules`."""
    sampling = sampling or Sampling(answer_tokens=64, review_tokens=32)
    journalled = JournalledModel(ledger=ledger, model=model, sampling=sampling)
    checks = checks or RegisteredChecks(sandbox=sandbox or NoSandbox())
    return Loop(
        ledger=ledger,
        operators=Operators(model=journalled, cloud=cloud or NoCloud()),
        validation=Validation(ledger=ledger, checks=checks, judge_panel=judge_panel(journalled)),
        lesson_service=lesson_service(journalled),
        strategies=strategies or {strategy.name: strategy for strategy in PACKAGED},
        rules=LoopRules(**{"width": 1, "move_up_after": 3, "escalate_after": 10, **rules}),
        clock=clock,
    )


def corrected(request: ChatRequest) -> str:
    """An answer that is right at the second revision only; a function of its prompt and seed."""
    prompt = request.messages[-1].content
    if "ANSWER: 3" in prompt:
        return "then it is\nANSWER: 42"
    return "then it is\nANSWER: 3" if "ANSWER: 7" in prompt else "first\nANSWER: 7"


def run(fleet: Database, ledger: PostgresLedger, model: ChatModel, *, width: int = 1, **fields: Any) -> None:
    """Turns until there is nothing to do; `fields` are those of `twin_loop`."""
    while (claim := take(fleet)) is not None:
        twin_loop(ledger, model, width=width, **fields).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())


def job_by(model: ChatModel, user: Database, fleet: Database) -> list[Any]:
    """The calls of one job that a real model answered, of whom nobody knows whether it is right: the job has ended and
    its records agree."""
    check = CheckSpec(name="answer:answer", kind="answer", value={"exact": "42"})
    spec = JobSpec(title="t", problem="What is six times seven?", checks=(check,), strategy="single")
    job = submit_jobs(user, [spec])[0].job
    run(fleet, PostgresLedger(fleet, fault_cap=1), model)
    summary = job_summary(user, job)
    assert summary.state in (JobState.ACCEPTED, JobState.UNSOLVED), summary.reason
    assert summary.iterations == 1
    assert breaches(fleet, submitted=[job], drained=True) == ()
    with fleet.connect() as connection:
        return list(connection.execute(text("SELECT * FROM calls WHERE job_id = :job ORDER BY id"), {"job": job}))


def skip_pauses(fleet: Database) -> None:
    """What waits for a moment, a job, an escalation or a circuit, has waited."""
    with fleet.begin() as connection:
        connection.execute(text("UPDATE leases SET run_at = now() WHERE run_at > now()"))
        connection.execute(text("UPDATE escalations SET next_at = now() WHERE next_at > now()"))
        connection.execute(text("UPDATE providers SET open_until = now() WHERE open_until > now()"))


def take(fleet: Database, *lanes: Lane) -> Claim | None:
    """Claims what there is on `lanes`, or on the engine's and the checks'; no pause is waited for."""
    skip_pauses(fleet)
    return dispatch.claim(fleet, lanes or ENGINE_AND_CHECKS, "w", "turn", dispatch.ClaimRules(affinity_seconds=0))


def outlive(fleet: Database, *, crash_cap: int = 3) -> None:
    """The leases of whoever was killed run out, and the reaper looks."""
    with fleet.begin() as connection:
        connection.execute(text("UPDATE leases SET lease_until = now() - interval '1 s'"))
    reaping.reap(fleet, crash_cap=crash_cap)
