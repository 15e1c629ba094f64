"""The fault run of scores: evaluators that hang, fork, lie, crash and print no number, under workers that die at random
writes. Nothing is lost or counted twice, no value is wrong, and nothing outlives its limit by more than two seconds."""

from __future__ import annotations

import collections
import contextlib
import random
import uuid
import zlib
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.jobchecks import build_checks
from tasks.llm.scripted import ScriptedModel
from tasks.settings import load_settings
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, ChatRequest, Egress, JobSpec, JobState
from tasks.validators import registry
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.doubles import Death, Killed, Mortal
from tests.loops import ENGINE_AND_CHECKS, outlive, take, twin_loop

pytestmark = pytest.mark.integration

LIMIT_SECONDS = 1.0
OVERRUN_SECONDS = 2.0
WIDTH, ITERATIONS = 4, 5
# What the evaluator does on a candidate that begins with the word.
EVALUATOR = """import json, os, signal, sys, time
mode, number = open(sys.argv[1]).read().split()
result = json.dumps({"score": int(number)})
if mode == "hung":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(result, flush=True)
    time.sleep(600)
elif mode == "forking":
    print(result, flush=True)
    while True:
        try:
            if os.fork() == 0:
                os.setsid()
        except OSError:
            time.sleep(0.05)
elif mode == "lying":
    print(json.dumps({"score": 10**9}))
    print(result)
elif mode == "nan":
    print(json.dumps({"score": float("nan")}))
elif mode == "crash":
    print(result, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
else:
    print(result)
"""
MODES = ("hung", "forking", "lying", "nan", "crash", "good", "good", "good")


def answer(request: ChatRequest) -> str:
    """A mode and a number, as the request has it: the same again after a crash."""
    drawn = random.Random(zlib.crc32(f"{request.seed}{request.messages[-1].content}".encode()))
    return f"{drawn.choice(MODES)} {drawn.randrange(1000)}"


@pytest.mark.parametrize("jobs", [2, pytest.param(25, marks=pytest.mark.slow)])
def test_faulty_evaluators_under_dying_workers_lose_and_spoil_nothing(
    user: Database, fleet: Database, tmp_path: Path, jobs: int
) -> None:
    name = f"evaluate_{uuid.uuid4().hex}.py"
    (tmp_path / name).write_text(EVALUATOR)
    checks = build_checks(
        [{"score": [f"./{name}", "{candidate}"], "timeout_seconds": LIMIT_SECONDS}], tmp_path, registry
    )
    spec = JobSpec(
        title="t",
        problem="Find a large number.",
        checks=checks,
        egress=Egress.NEVER,
        strategy="best_of_n",
        budget=Budget(iterations=ITERATIONS),
    )
    numbers = [made.job for made in submit_jobs(user, [spec] * jobs)]
    ledger: Any = PostgresLedger(fleet, fault_cap=3)
    sandbox = BubblewrapSandbox(default_runtime_folder(load_settings().cache))
    draw, kills = random.Random(31), 0
    best: dict[int, float] = collections.defaultdict(lambda: float("-inf"))
    while (claim := take(fleet)) is not None:
        # A death at random, but an iteration is recorded between two: three in a row would quarantine the job.
        fatal = kills < 2 * sum(job_summary(user, job).iterations for job in numbers) + 2 and draw.random() < 0.4
        death = Death(draw.randrange(8) if fatal else 10**9, after=draw.random() < 0.5)
        loop = twin_loop(Mortal(ledger, death), ScriptedModel(answer), width=WIDTH, sandbox=sandbox)
        with contextlib.suppress(Killed):
            loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
        if death.at:
            kills += 1
            outlive(fleet, crash_cap=100)
        value = job_summary(user, claim.job).value
        if value is not None:
            assert value >= best[claim.job]
            best[claim.job] = value

    assert kills >= jobs
    assert breaches(fleet, submitted=numbers, drained=True) == ()
    assert {job_summary(user, job).state for job in numbers} == {JobState.ACCEPTED}
    with fleet.connect() as connection:
        rows = connection.execute(
            text("""SELECT k.text, k.fitness, v.passed, v.value, v.seconds, v.feedback FROM candidates k
                    LEFT JOIN verdicts v USING (job_id, iteration, slot)""")
        ).all()
    assert len(rows) == jobs * ITERATIONS * WIDTH, "each candidate was measured, and counted once"
    for row in rows:
        mode, number = row.text.split()
        wanted = float(number) if mode == "good" else None
        assert (row.passed, row.value, row.fitness) == (mode == "good", wanted, wanted), row
        assert row.passed or row.feedback
        assert row.seconds <= LIMIT_SECONDS + OVERRUN_SECONDS
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if name in _read(path)]


def _read(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_bytes().decode(errors="replace")
    return ""
