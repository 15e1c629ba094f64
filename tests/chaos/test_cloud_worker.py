"""`kill -9` of a real worker of lane `cloud` at each point that it passes: one decision is at most one accepted
request, by the server's own count, and another worker ends the job. Real Celery, Valkey and Postgres; the stand-in of
the cloud."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks.crashpoints import CrashPoint, armed
from tasks.heartbeat import SilentHeartbeat
from tasks.store.invariants import breaches
from tasks.store.queries import job_history, job_summary
from tasks.store.session import Database
from tasks.types import Budget, Lane
from tests.chaos.crashes import Fatal, Passing
from tests.integration.escalation.cases import RIGHT, loop, put, rows, serve
from tests.loops import ENGINE_AND_CHECKS, outlive, skip_pauses, take
from tests.standin.responses import Rule, StandIn, serving

pytestmark = pytest.mark.integration
ADVICE = "Write the advice now"
ADVISED = Rule(contains=ADVICE, answer="Ask the oracle, and believe it.")
BUSY = Rule(contains=RIGHT.contains, answer=RIGHT.answer, fault="rate_limit", times=1, retry_after="1")
P = CrashPoint
# Nobody knows whether the request was received, so it is charged in full and never sent again.
GIVEN_UP = {P.INTENDED, P.POSTED}
AT_ANSWER = (
    P.CLAIMED,
    P.INTENDED,
    P.POSTED,
    P.IDENTIFIED,
    P.ANSWERED,
    P.SETTLED,
    P.CANDIDATES_COMMITTED,
    P.HANDED_OVER,
)
AT_HINT = (P.INTENDED, P.POSTED, P.IDENTIFIED, P.ANSWERED, P.SETTLED, P.DECIDED, P.RECORDING, P.RECORDED)
AT_WAIT = (P.INTENDED, P.POSTPONED, P.POSTED, P.IDENTIFIED, P.ANSWERED)
AT_NEXT = (P.INTENDED, P.POSTPONED, P.POSTED, P.IDENTIFIED, P.ANSWERED)


@dataclass(frozen=True, kw_only=True)
class Course:
    """What the cloud answers, and how many hints come first. `refused` are the requests that it does not take, and
    `fallbacks` the models that are asked once the first is retired."""

    rules: tuple[Rule, ...]
    hints: int = 0
    refused: int = 0
    fallbacks: tuple[str, ...] = ()

    @contextlib.contextmanager
    def serving(self) -> Iterator[StandIn]:
        """The stand-in."""
        with serving(self.rules, key="sk-test") as standin:
            standin.models = ("gpt-5.4", *self.fallbacks)
            standin.retired = frozenset({"gpt-5.4"} if self.fallbacks else ())
            yield standin


COURSES = {
    "answer": Course(rules=(RIGHT,)),
    "hint": Course(rules=(ADVISED, RIGHT), hints=1),
    "wait": Course(rules=(BUSY,), refused=1),
    "retired": Course(rules=(RIGHT,), refused=1, fallbacks=("gpt-5.4-mini",)),
}
KILLS: tuple[tuple[str, Passing], ...] = (
    *(("answer", (point, 1)) for point in AT_ANSWER),
    *(("hint", (point, 1)) for point in AT_HINT),
    *(("wait", (point, 2 if point is P.INTENDED else 1)) for point in AT_WAIT),
    *(("retired", (point, 2 if point is P.INTENDED else 1)) for point in AT_NEXT),
)
# In `make test`: a request that may have been received, and one that is fetched by its id.
SOON = (("answer", (P.POSTED, 1)), ("hint", (P.IDENTIFIED, 1)))


@pytest.fixture
def fleet(fleet_url: str) -> Iterator[Database]:
    with Database(fleet_url) as database:
        serve(database)
        yield database


@pytest.fixture
def environment(fleet_url: str, valkey_url: str, tmp_path: Path) -> dict[str, str]:
    """A worker's, which looks for work itself, as no relay runs."""
    return {
        **os.environ,
        "REDRAFT_HOME": str(tmp_path / "home"),
        "REDRAFT_CACHE": str(tmp_path / "cache"),
        "REDRAFT_DATABASE_URL": fleet_url,
        "REDRAFT_BROKER_URL": valkey_url,
        "REDRAFT_AFFINITY_SECONDS": "0",
        "REDRAFT_WAKEUP_SILENCE_SECONDS": "0.2",
        "REDRAFT_ESCALATE_AFTER": "1",
        "REDRAFT_HINT_ITERATIONS": "1",
        "REDRAFT_EGRESS": "full",
        "OPENAI_API_KEY": "sk-test",
    }


class Workers:
    """One worker of the cloud at a time; the first dies at `at`, and each that died has a successor."""

    def __init__(self, environment: dict[str, str], at: Passing, log: Path) -> None:
        self._environment, self._log, self.deaths = environment, log, 0
        self._running = self._start(REDRAFT_CRASH_AT=f"{at[0]}:{at[1]}")

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.terminate()
        self._running.wait(30)

    def bury(self, fleet: Database) -> bool:
        """Whether the worker had died; then its lease is over, and another one starts."""
        if self._running.poll() is None:
            return False
        assert self._running.returncode == -signal.SIGKILL, self._log.read_text()
        self.deaths += 1
        outlive(fleet, crash_cap=9)
        self._running = self._start()
        return True

    def _start(self, **more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "workers.cli.main", "worker", "--lane", "cloud"]
        with self._log.open("ab") as log:
            return subprocess.Popen(command, env={**self._environment, **more}, stdout=log, stderr=log)


def play(user: Database, fleet: Database, course: Course, workers: Workers, url: str) -> int:
    """A job to its end: the engine's and the checks' turns are taken here, the cloud's by the workers."""
    job, deadline = put(user, budget=Budget(iterations=8)), time.monotonic() + 240
    while not (job_summary(user, job).state.final and workers.deaths):
        assert time.monotonic() < deadline, job_summary(user, job)
        workers.bury(fleet)
        skip_pauses(fleet)
        claim = take(fleet, *ENGINE_AND_CHECKS)
        if claim is None:
            time.sleep(0.05)
            continue
        local = loop(fleet, url, after=1, hints=course.hints)
        local.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
    return job


def kinds(standin: StandIn) -> dict[str, int]:
    """How many requests came in for each kind of help, by the server's count."""
    asked = ["hint" if ADVICE in str(body["input"]) else "answer" for body in standin.bodies]
    return {kind: asked.count(kind) for kind in set(asked)}


def kill(
    user: Database, fleet: Database, admin_url: str, environment: dict[str, str], name: str, at: Passing, log: Path
) -> None:
    course = COURSES[name]
    with course.serving() as standin:
        environment = {
            **environment,
            "OPENAI_BASE_URL": standin.url,
            "REDRAFT_HINTS": str(course.hints),
            "REDRAFT_CLOUD_FALLBACKS": ",".join(course.fallbacks),
        }
        with Workers(environment, at, log) as workers:
            job = play(user, fleet, course, workers, standin.url)
            assert workers.deaths == 1
        decisions = rows(fleet, job)
        assert standin.accepted <= len(decisions)
        assert all(posts <= 1 + course.refused for posts in kinds(standin).values()), kinds(standin)
    lost = [row for row in decisions if row.state == "unknown"]
    assert len(lost) == (at[0] in GIVEN_UP)
    assert all(row.usd == row.reserved_usd for row in lost)
    assert {row.state for row in decisions} <= {"done", "unknown"}
    solved = decisions[-1].state == "done"
    assert job_summary(user, job).state == ("accepted" if solved else "unsolved")
    operators = [row.operator for row in job_history(user, job)]
    assert [operators.count("hint"), operators.count("escalate")] == [course.hints, 1]
    with Database(admin_url) as admin:
        assert breaches(admin, submitted=[job], drained=True) == ()


@pytest.mark.parametrize(("name", "at"), SOON, ids=str)
def test_a_killed_worker_of_the_cloud_asks_at_most_once_for_each_decision(
    user: Database, fleet: Database, admin_url: str, environment: dict[str, str], name: str, at: Passing, tmp_path: Path
) -> None:
    kill(user, fleet, admin_url, environment, name, at, tmp_path / "worker.log")


@pytest.mark.slow  # two of the points are in `make test`, and test_crashpoints.py passes all of them in one process
@pytest.mark.parametrize(("name", "at"), [one for one in KILLS if one not in SOON], ids=str)
def test_killed_at_any_point_it_asks_at_most_once_for_each_decision(
    user: Database, fleet: Database, admin_url: str, environment: dict[str, str], name: str, at: Passing, tmp_path: Path
) -> None:
    kill(user, fleet, admin_url, environment, name, at, tmp_path / "worker.log")


@pytest.mark.parametrize("name", COURSES)
def test_the_points_at_which_it_is_killed_are_all_that_it_passes(user: Database, fleet: Database, name: str) -> None:
    """Turns of the cloud's lane, in this process; the others pass what they may."""
    course, passed = COURSES[name], Fatal()
    with course.serving() as standin:
        put(user, budget=Budget(iterations=8))
        while True:
            claim, lanes = take(fleet, *ENGINE_AND_CHECKS), ENGINE_AND_CHECKS
            with contextlib.nullcontext() if claim else armed(passed):
                if claim is None:
                    lanes = frozenset({Lane.CLOUD})
                    claim = take(fleet, *lanes)
                if claim is None:
                    break
                local = loop(fleet, standin.url, after=1, hints=course.hints, fallbacks=course.fallbacks)
                local.turn(claim, lanes, SilentHeartbeat())
    assert set(passed.passed) == {point for course, (point, _) in KILLS if course in (name, "answer")}
