"""Worker processes that need no engine: for checks alone, and for the cloud alone. Real Celery, Valkey, Postgres."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from tasks.heartbeat import SilentHeartbeat
from tasks.store import dispatch
from tasks.store.fleet import live_workers
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Budget, CheckSpec, Egress, JobSpec, JobState, Lane, StopCode
from tests.integration.escalation.cases import HIDDEN, RIGHT, VISIBLE, loop
from tests.plugins import install
from tests.standin.responses import serving
from workers.home import free_port
from workers.http_client import answers

pytestmark = pytest.mark.integration


def put(user: Database, *checks: CheckSpec, egress: Egress | None = None, iterations: int = 3) -> int:
    made = JobSpec(
        title="A secret",
        problem="What is the secret?",
        checks=checks or (VISIBLE, HIDDEN),
        budget=Budget(iterations=iterations),
        memory=False,
    )
    return submit_jobs(user, [made], egress=egress)[0].job


def lane_of(fleet: Database, job: int) -> str:
    with fleet.connect() as connection:
        return str(connection.execute(text("SELECT lane FROM leases WHERE job_id = :job"), {"job": job}).scalar_one())


def check_by(fleet: Database, job: int, kind: str) -> None:
    """The job's checks are those of a plug-in, which this process does not have."""
    checks = json.dumps([{"name": kind, "kind": kind, "value": 1}])
    with fleet.begin() as connection:
        statement = text("UPDATE jobs SET checks = CAST(:checks AS jsonb) WHERE id = :job")
        connection.execute(statement, {"checks": checks, "job": job})


def events_of(fleet: Database, job: int) -> dict[str, str]:
    with fleet.connect() as connection:
        rows = connection.execute(text("SELECT kind, detail FROM events WHERE job_id = :job"), {"job": job})
        return {row.kind: row.detail for row in rows}


def take_locally(fleet: Database, lane: Lane, url: str = "") -> None:
    """One turn of an engine's worker, in this process."""
    claim = dispatch.claim(fleet, [lane], "here", "turn", dispatch.ClaimRules(affinity_seconds=0))
    assert claim is not None
    loop(fleet, url, after=1).turn(claim, frozenset({lane}), SilentHeartbeat())


def is_final_or_goes_on(user: Database, fleet: Database, job: int, url: str) -> bool:
    """Whether the job has ended; else takes the engine's turn at it, where it waits for one."""
    claim = dispatch.claim(fleet, [Lane.GPU], "here", "turn", dispatch.ClaimRules(affinity_seconds=0))
    if claim is not None:
        loop(fleet, url, after=1).turn(claim, frozenset({Lane.GPU}), SilentHeartbeat())
    return job_summary(user, job).state.final


@contextlib.contextmanager
def process(argv: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-m", "workers.cli.main", *argv],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            yield running
        finally:
            running.send_signal(signal.SIGTERM)


def eventually(condition: Callable[[], bool], running: subprocess.Popen[bytes], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert running.poll() is None, "the worker died"
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextlib.contextmanager
def flower(environment: dict[str, str], folder: Path) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Flower as the stack runs it; gives what its page of turns shows."""
    port = free_port()
    config = folder / "flowerconfig.py"
    config.write_text(f"address = '127.0.0.1'\nport = {port}\nbasic_auth = ['ada:hush']\n")
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/tasks",
        headers={"Authorization": f"Basic {base64.b64encode(b'ada:hush').decode()}"},
    )

    def turns() -> list[dict[str, Any]]:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return list(json.load(answer).values())

    with subprocess.Popen(
        [sys.executable, "-m", "workers.flower", f"--conf={config}"],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        try:
            eventually(lambda: answers(f"http://127.0.0.1:{port}/healthcheck"), running)
            yield turns
        finally:
            running.terminate()


def failures(turns: list[dict[str, Any]], job: int) -> list[str]:
    """What Flower says of the job's turns that failed."""
    return [
        str(turn["exception"])
        for turn in turns
        if turn["state"] == "FAILURE" and str(turn["kwargs"]).startswith(f"job {job} ·")
    ]


def of_engines(running: subprocess.Popen[bytes]) -> list[str]:
    return [child.name() for child in psutil.Process(running.pid).children(recursive=True) if "vllm" in child.name()]


@pytest.fixture
def environment(fleet_url: str, valkey_url: str, tmp_path: Path) -> dict[str, str]:
    """A worker's, whose model could not be had: whoever asks for an engine fails."""
    given = {"HOME": str(tmp_path / "home"), "CACHE": str(tmp_path / "cache"), "MODEL": "no-such-model"}
    return {
        **{f"REDRAFT_{name}": value for name, value in given.items()},
        "REDRAFT_DATABASE_URL": fleet_url,
        "REDRAFT_BROKER_URL": valkey_url,
        "REDRAFT_AFFINITY_SECONDS": "0",
        "REDRAFT_ESCALATE_AFTER": "1",
        "REDRAFT_HINTS": "0",
    }


def test_a_worker_of_checks_alone_takes_a_turn_without_an_engine(
    user: Database, fleet: Database, environment: dict[str, str]
) -> None:
    job = put(user)
    take_locally(fleet, Lane.GPU)
    assert lane_of(fleet, job) == "check"
    with process(["relay"], environment), process(["worker", "--lane", "check"], environment) as checker:
        eventually(lambda: job_summary(user, job).iterations == 1, checker)
        (card,) = [worker for worker in live_workers(user) if worker.pid == checker.pid]
        assert (card.lanes, card.model, of_engines(checker)) == (("check",), "", [])
    assert lane_of(fleet, job) == "gpu"
    with fleet.connect() as connection:
        moves = connection.execute(text("SELECT move FROM iterations ORDER BY number")).scalars().all()
    assert [move["kind"] for move in moves] == ["draft", "revise"]


def test_workers_of_the_cloud_and_of_checks_solve_what_the_engine_s_worker_could_not(
    user: Database, fleet: Database, environment: dict[str, str]
) -> None:
    job = put(user, egress=Egress.FULL, iterations=6)
    with serving([RIGHT], key="sk-test") as standin:
        opened = {"REDRAFT_EGRESS": "full", "OPENAI_API_KEY": "sk-test", "OPENAI_BASE_URL": standin.url}
        keyed = {**environment, **opened}
        with (
            process(["relay"], environment),
            process(["worker", "--lane", "cloud"], keyed) as cloud,
            process(["worker", "--lane", "check"], environment) as checker,
        ):
            eventually(lambda: len(live_workers(user)) == 2, cloud)
            # The cloud is asked where the job would begin anew, so the engine's worker revises before.
            eventually(lambda: is_final_or_goes_on(user, fleet, job, standin.url), checker)
            assert of_engines(cloud) == []
        assert standin.posts == 1
    assert job_summary(user, job).state is JobState.ACCEPTED


def test_a_worker_of_the_cloud_without_a_key_says_what_is_missing(environment: dict[str, str]) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "workers.cli.main", "worker", "--lane", "cloud"],
        env={**{name: value for name, value in os.environ.items() if name != "OPENAI_API_KEY"}, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 2
    missing = "lane cloud needs an OpenAI key or another endpoint: set OPENAI_API_KEY, or REDRAFT_ADVISER_URL"
    assert said.stderr.strip() == f"--lane: 'cloud' is not allowed; {missing}"


def test_a_key_that_lies_in_the_environment_serves_no_cloud(environment: dict[str, str]) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "workers.cli.main", "worker", "--lane", "check,cloud"],
        env={**os.environ, **environment, "OPENAI_API_KEY": "sk-test"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 2
    assert "egress is never here: set REDRAFT_EGRESS=full" in said.stderr
    assert "sk-test" not in said.stderr


def test_a_model_without_prices_keeps_the_cloud_s_worker_from_starting(environment: dict[str, str]) -> None:
    unknown = {"OPENAI_API_KEY": "sk-test", "REDRAFT_CLOUD_MODEL": "gpt-9", "REDRAFT_EGRESS": "full"}
    said = subprocess.run(
        [sys.executable, "-m", "workers.cli.main", "worker", "--lane", "cloud"],
        env={**os.environ, **environment, **unknown},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.returncode == 2
    assert "setting cloud_model: 'gpt-9' is not allowed" in said.stderr
    assert "sk-test" not in said.stderr


def test_a_validator_that_raises_fails_its_job_and_the_worker_goes_on(
    user: Database, fleet: Database, fleet_url: str, environment: dict[str, str], tmp_path: Path
) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    install(plugins)
    buggy, broken, sound = put(user), put(user), put(user)
    for _ in (buggy, broken, sound):
        take_locally(fleet, Lane.GPU)
    check_by(fleet, buggy, "raises")
    check_by(fleet, broken, "bad_syntax")
    with (
        flower(environment, tmp_path) as turns,
        process(["relay"], environment),
        process(["worker", "--lane", "check"], {**environment, "PYTHONPATH": str(plugins)}) as checker,
    ):
        eventually(lambda: job_summary(user, buggy).state.final, checker)
        eventually(lambda: bool(failures(turns(), buggy)), checker)
        assert failures(turns(), buggy)[0].startswith("RuntimeError: a bug of the plug-in, at ***")
        eventually(lambda: bool(failures(turns(), broken)), checker)
        assert "check 'bad_syntax' is broken on this worker: SyntaxError" in failures(turns(), broken)[0]
        eventually(lambda: job_summary(user, sound).iterations == 1, checker)
        eventually(lambda: "fault" in events_of(fleet, broken), checker)
    ended = job_summary(user, buggy)
    assert (ended.state, ended.stop_code) == (JobState.FAILED, StopCode.DEFECT)
    assert ended.reason.startswith("a defect: RuntimeError: a bug of the plug-in, at ***")
    events = events_of(fleet, buggy)
    assert "in validate" in events["defect"]
    assert fleet_url not in "".join(events.values())
    assert "secret" not in events["defect"], "the password of the fleet's login"
    assert "check 'bad_syntax' is broken on this worker: SyntaxError" in events_of(fleet, broken)["fault"]
    assert not job_summary(user, broken).state.final, "another worker may have it"
