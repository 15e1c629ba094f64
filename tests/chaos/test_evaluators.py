"""Evaluators that hang, fork, crash and lie, while the workers that run them are killed at random: each is over soon
after its limit, each candidate is judged and counted once, and no lie becomes a score."""

from __future__ import annotations

import collections
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tasks.store.invariants import breaches
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, CheckSpec, JobSpec
from tasks.validators.orphans import end_orphans
from tasks.validators.score import ScoreValidator
from tests.chaos.evaluating import READY, WORKER
from tests.chaos.evaluators import EVALUATORS, MARK, Evaluator
from tests.loops import outlive

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
OVERRUN_SECONDS = 2.0
# Of whoever looks for survivors, beside other tests.
SLACK_SECONDS = 1.0
SEED = int(os.environ.get("CHAOS_SEED", "16"))
# How long a worker lives after it began to take turns.
LIFE_SECONDS = (0.3, 2.5)


@pytest.fixture
def workers(fleet: Database) -> Database:
    """The workers' database, in which the one that the test starts is known."""
    with fleet.begin() as connection:
        connection.execute(
            text("""INSERT INTO workers (name, host, pid, lanes, slots, version, seen_at)
                    VALUES (:name, 'h', 1, '{gpu,check}', 4, '0', now() + interval '1 day')"""),
            {"name": WORKER},
        )
    return fleet


def job_of(evaluator: Evaluator) -> JobSpec:
    value, _ = ScoreValidator().parse(
        {"score": ["python", "evaluate.py", "{candidate}", MARK, str(evaluator.seconds)]}, None
    )
    check = CheckSpec(
        name=f"score:{evaluator.name}",
        kind="score",
        value=value,
        files={"evaluate.py": evaluator.source},
        timeout_seconds=evaluator.seconds,
        memory_mb=128,
    )
    return JobSpec(
        title=evaluator.name,
        problem="Do better.",
        checks=(check,),
        strategy="single",
        budget=Budget(iterations=1),
        memory=False,
    )


def marked() -> Iterator[tuple[int, float]]:
    """The processes of evaluators on this machine, each with the seconds that it is beyond its limit."""
    ticks, up = os.sysconf("SC_CLK_TCK"), time.clock_gettime(time.CLOCK_BOOTTIME)
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if MARK in arguments:
                began = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[19])
                yield int(folder.name), up - began / ticks - float(arguments[arguments.index(MARK) + 1])
        except (FileNotFoundError, ProcessLookupError):
            continue


class Watch:
    """Looks at the evaluators all the time. Keeps which it saw, and how far one was beyond its limit, in seconds."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.overrun = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            for process, beyond in marked():
                self.seen.add(process)
                self.overrun = max(self.overrun, beyond)


def finish(fleet: Database, jobs: list[int], url: str, chance: random.Random) -> int:
    """Works on the jobs until all have ended, with one worker after another, each killed; how many were."""
    query, kills = text("SELECT count(*) FROM jobs WHERE id = ANY(:jobs) AND finished_at IS NULL"), 0

    def left() -> int:
        with fleet.connect() as connection:
            return int(connection.execute(query, {"jobs": jobs}).scalar_one())

    while left():
        command = [sys.executable, "-m", "tests.chaos.evaluating", url]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            assert READY in worker.stdout.readline()
            end = time.monotonic() + chance.uniform(*LIFE_SECONDS)
            while time.monotonic() < end and left():
                time.sleep(0.1)
            assert worker.poll() is None, "the worker ended by itself"
            worker.kill()
        kills += 1
        end_orphans()  # as the next worker does before its first check
        deadline = time.monotonic() + OVERRUN_SECONDS + SLACK_SECONDS
        while survivors := list(marked()):
            assert time.monotonic() < deadline, f"evaluators outlive their worker: {survivors}"
            time.sleep(0.05)
        outlive(fleet, crash_cap=1000)
    return kills


@pytest.mark.timeout(3600)
@pytest.mark.slow  # test_score_faults.py stands for it
@pytest.mark.parametrize("evaluators", [12, 500])
def test_bad_evaluators_and_killed_workers_lose_and_double_nothing(
    user: Database, workers: Database, fleet_url: str, evaluators: int
) -> None:
    chance = random.Random(SEED)
    # Every kind is there as often as any other, but for one.
    chosen = [EVALUATORS[number % len(EVALUATORS)] for number in range(evaluators)]
    chance.shuffle(chosen)
    jobs = [one.job for one in submit_jobs(user, [job_of(one) for one in chosen])]
    with Watch() as watch:
        kills = finish(workers, jobs, fleet_url, chance)
    assert kills > evaluators // 15
    assert len(watch.seen) > evaluators // 4
    assert watch.overrun <= OVERRUN_SECONDS
    columns = "v.job_id, v.passed, v.value, v.feedback, v.seconds, j.state, j.iterations"
    with workers.connect() as connection:
        rows = connection.execute(text(f"SELECT {columns} FROM verdicts v JOIN jobs j ON j.id = v.job_id")).all()
        candidates = connection.execute(text("SELECT count(*) FROM candidates")).scalar_one()
    assert collections.Counter(row.job_id for row in rows) == dict.fromkeys(jobs, 1), "each is judged once"
    assert candidates == evaluators
    by_job = {row.job_id: row for row in rows}
    for job, evaluator in zip(jobs, chosen, strict=True):
        row = by_job[job]
        valid = evaluator.value is not None
        assert (row.iterations, row.passed, row.value) == (1, valid, evaluator.value), (evaluator.name, row)
        assert row.state == ("accepted" if valid else "unsolved"), (evaluator.name, row)
        assert evaluator.said in row.feedback, (evaluator.name, row)
        assert row.seconds <= evaluator.seconds + OVERRUN_SECONDS, (evaluator.name, row)
    assert breaches(workers, drained=True) == ()
