"""Every named crash point, at each of its passings, and seeded pairs of them: the final state is always the one of a
run without faults. A real Postgres, a scripted model; a lease that ran out is what a crash leaves behind."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from tasks.crashpoints import CrashPoint, arm_process, armed
from tasks.errors import InvalidInput
from tasks.escalation import NoCloud
from tasks.journal import JournalledModel, Sampling
from tasks.jury import NoJury
from tasks.llm.scripted import ScriptedModel
from tasks.loop import Loop
from tasks.policy import Correct
from tasks.pulse import Silent
from tasks.store import leases
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_history, job_summary, submit_jobs
from tasks.store.session import Database
from tasks.tutor import NoTutor
from tasks.types import ChatRequest, CheckSpec, Claim, Egress, JobSpec, JobState, Lane
from tasks.validators.registry import accepted, score, validate
from tests.doubles import Killed, NoSandbox

pytestmark = pytest.mark.integration
LANES = frozenset({Lane.GPU})
OTHER = frozenset({Lane.CHECK})
CHECKS = (
    CheckSpec(name="answer", kind="answer", value={"exact": "42"}),
    CheckSpec(name="answer#2", kind="answer", value={"regex": "[0-9]+"}, held_out=True),
)
# `make chaos` asks for more.
PAIRS = int(os.environ.get("CHAOS_PAIRS", "30"))
# More deaths in a row than any job here suffers: quarantine has tests of its own.
CRASH_CAP = 100


class Fatal:
    """Kills at the given passings, counted over all points together."""

    def __init__(self, *at: tuple[CrashPoint, int]) -> None:
        self.at, self.passed, self.deaths = set(at), dict.fromkeys(CrashPoint, 0), 0

    def __call__(self, point: CrashPoint) -> None:
        self.passed[point] += 1
        if (point, self.passed[point]) in self.at:
            self.deaths += 1
            raise Killed


@pytest.fixture
def user(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("alice")) as database:
        yield database


@pytest.fixture
def fleet(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("fleet", "redraft_worker")) as database:
        yield database


def answer(request: ChatRequest) -> str:
    """Right at the second revision only; each answer is a function of its prompt and seed."""
    prompt = request.messages[-1].content
    if "ANSWER: 3" in prompt:
        return "then it is\nANSWER: 42"
    return "then it is\nANSWER: 3" if "ANSWER: 7" in prompt else "first\nANSWER: 7"


def turn(fleet: Database, claim: Claim, lanes: frozenset[Lane]) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    sampling = Sampling(answer_tokens=64, review_tokens=32)
    Loop(
        ledger=ledger,
        model=JournalledModel(ledger=ledger, model=ScriptedModel(answer), sampling=sampling),
        strategies={"correct": Correct()},
        validate=validate,
        judge=lambda verdicts, checks: (score(verdicts, checks), accepted(verdicts, checks)),
        sandbox=NoSandbox(),
        jury=NoJury(),
        tutor=NoTutor(),
        cloud=NoCloud(),
        move_up_after=3,
        escalate_after=10,
        width=2,
        hours=lambda job: 0.0,
        say=lambda report: None,
    ).turn(claim, lanes, Silent())


def run(user: Database, fleet: Database, fatal: Fatal) -> tuple[Any, ...]:
    """One job to its end, with a worker for the engine's lane and one for the checks; what it came to."""
    spec = JobSpec(title="t", problem="What is six times seven?", checks=CHECKS, egress=Egress.NEVER)
    job = submit_jobs(user, [spec])[0].job
    rules = leases.ClaimRules(affinity_seconds=0)
    with armed(fatal):
        for lanes in itertools.cycle((LANES, OTHER)):
            if job_summary(user, job).state.final:
                break
            try:
                claim = leases.claim(fleet, lanes, f"w-{next(iter(lanes))}", "turn", rules)
                if claim is not None:
                    turn(fleet, claim, lanes)
            except Killed:
                with fleet.begin() as connection:
                    connection.execute(text("UPDATE leases SET lease_until = now() - interval '1 s'"))
                leases.reap(fleet, crash_cap=CRASH_CAP)
    summary = job_summary(user, job)
    rounds = [
        (i.iteration, i.operator, i.candidate, i.score, i.decision, i.completion_tokens) for i in job_history(user, job)
    ]
    return summary.state, summary.answer, summary.acceptance, summary.spend.local_tokens, rounds


def test_a_crash_at_any_point_or_at_any_two_changes_nothing(user: Database, fleet: Database) -> None:
    counted = Fatal()
    expected = run(user, fleet, counted)
    assert expected[0] is JobState.ACCEPTED
    assert all(counted.passed.values()), "every point is passed by an ordinary run"
    every = [(point, n + 1) for point, times in counted.passed.items() for n in range(times)]
    chance = random.Random(4)
    pairs = [tuple(chance.sample(every, 2)) for _ in range(PAIRS)]
    deaths = 0
    for at in [*((one,) for one in every), *pairs]:
        fatal = Fatal(*at)
        assert run(user, fleet, fatal) == expected, at
        assert fatal.deaths, at
        deaths += fatal.deaths
    assert deaths >= len(every) + PAIRS
    assert breaches(fleet, drained=True) == ()


def test_a_point_that_is_not_known_is_refused() -> None:
    with pytest.raises(InvalidInput, match="call made"):
        arm_process("nowhere:2")
