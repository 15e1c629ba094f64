"""Background tasks that die: the worker drains, its row goes, the log has the traceback, `status` says which one it
was, and whoever supervises it starts another. Real services, real faults."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import structlog

from tasks.store.fleet import live_workers
from tasks.store.lease_renewer import LeaseRenewer
from tasks.store.presence import WorkerRegistration
from tasks.store.session import Database
from tests.background import running
from tests.unit.engine.test_server import PROGRAM, fill_log
from tests.unit.test_background import Deaths
from workers.background import BackgroundTasks
from workers.engine.record import end_recorded
from workers.failures import read_failure
from workers.home import Home
from workers.local.parts import ProcessPart, stop_all
from workers.outbox_worker import OutboxWorker

pytestmark = pytest.mark.integration
CARD = WorkerRegistration(name="w", host="h", pid=1, lanes=("check",), slots=1, model="", version="0")
FORBID = "REVOKE INSERT, UPDATE ON workers FROM redraft_worker"
ALLOW = "GRANT INSERT, UPDATE ON workers TO redraft_worker"
PROFILE = """
engine = "vllm-cpu"
argv = ["--attention-backend", "CPU_ATTN"]
max_model_len = 64
width = 1
slots = 1
max_answer_tokens = 8
max_review_tokens = 8
weights = {{path = {folder!r}}}
"""


def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[arg-type]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(root=tmp_path / "home")
    home.make()
    yield home
    end_recorded(home)


@pytest.fixture
def services(fleet_url: str, valkey_url: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the parts of the home find them."""
    monkeypatch.setenv("REDRAFT_DATABASE_URL", fleet_url)
    monkeypatch.setenv("REDRAFT_BROKER_URL", valkey_url)
    monkeypatch.setenv("REDRAFT_HOME", str(home.root))
    monkeypatch.setenv("REDRAFT_DRAIN_SECONDS", "1")


@contextmanager
def process(home: Home, *argv: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with (home.log / "process.log").open("ab") as log:
        started = subprocess.Popen(
            [sys.executable, "-m", "workers.cli.main", *argv], env={**os.environ, **environment}, stderr=log
        )
    try:
        yield started
    finally:
        started.terminate()
        started.wait(60)


def test_a_renewer_whose_connection_is_closed_opens_another(admin_url: str, fleet_url: str, user: Database) -> None:
    with running(LeaseRenewer(fleet_url, lambda: CARD, lease_seconds=1).run):
        eventually(lambda: live_workers(user))
        with structlog.testing.capture_logs() as lines:
            execute(admin_url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fleet'")
            execute(admin_url, "DELETE FROM workers")
            eventually(lambda: live_workers(user))
        assert "the renewer lost Postgres and tries again" in [line["event"] for line in lines]


def test_a_renewer_without_its_rights_dies_and_is_told_of(admin_url: str, fleet_url: str) -> None:
    execute(admin_url, FORBID)
    deaths = Deaths()
    tasks = BackgroundTasks(deaths)
    tasks.start("lease renewer", LeaseRenewer(fleet_url, lambda: CARD, lease_seconds=1).run)
    deaths.wait()
    assert deaths.said[0].startswith("background task lease renewer died: InsufficientPrivilege: permission denied")
    assert tasks.stop() == ()


def test_an_outbox_whose_table_has_changed_dies_and_is_told_of(admin_url: str, fleet_url: str) -> None:
    execute(admin_url, "ALTER TABLE outbox RENAME COLUMN deliver_at TO due_at")
    deaths = Deaths()
    tasks = BackgroundTasks(deaths)
    tasks.start("outbox", OutboxWorker(fleet_url, {"memory": lambda connection, payload: None}).run)
    deaths.wait()
    assert "UndefinedColumn" in deaths.said[0]
    assert tasks.stop() == ()


@pytest.mark.usefixtures("services")
def test_a_worker_whose_renewer_died_is_started_again_and_its_part_says_why_until_then(
    admin_url: str, user: Database, home: Home
) -> None:
    argv = [sys.executable, "-m", "workers.cli.main", "worker", "--lane", "check"]
    part = ProcessPart(
        name="worker", argv=argv, home=home, probe=lambda pid: pid in [one.pid for one in live_workers(user)]
    )
    part.start()
    try:
        eventually(lambda: part.status().health == "ok")
        first = part.pid
        execute(admin_url, FORBID)
        eventually(lambda: part.pid is None)
        assert live_workers(user) == (), "nobody counts on it"
        status = part.status()
        assert (status.health, status.why.split(":")[0]) == ("starting", "background task lease renewer died")
        assert "permission denied for table workers" in status.why
        log = (home.log / "worker.log").read_text()
        assert "Traceback (most recent call last)" in log
        assert "InsufficientPrivilege" in log
        execute(admin_url, ALLOW)
        eventually(lambda: part.tend() or (part.status().health, part.status().why) == ("ok", ""))
        assert part.pid != first
    finally:
        stop_all([part])


@pytest.mark.slow  # a worker whose renewer died stands for it
@pytest.mark.usefixtures("services")
def test_a_worker_whose_engine_is_no_longer_watched_drains_and_leaves_the_engine_to_the_next(
    user: Database, home: Home, tmp_path: Path
) -> None:
    vllm = tmp_path / "bin" / "vllm"
    vllm.parent.mkdir()
    vllm.write_text(PROGRAM)
    vllm.chmod(0o755)
    vllm.with_name("says").write_text("Hello there.")
    (home.root / "profiles").mkdir()
    (home.root / "profiles" / "tiny.toml").write_text(PROFILE.format(folder=str(vllm.parent)))
    engine = {"REDRAFT_MODEL": "tiny", "REDRAFT_ENGINE_BIN": str(vllm)}
    with process(home, "worker", "--lane", "gpu,check", **engine) as worker:
        eventually(lambda: live_workers(user))
        fill_log(home.root)
        assert worker.wait(60) == 1
    assert live_workers(user) == ()
    why = read_failure(home, "worker")
    assert why.startswith("background task engine watch died: OSError: [Errno 28] No space left on device")
    left = json.loads((home.run / "engine.json").read_text())["pid"]
    (home.log / "engine.log.1").unlink()  # somebody has made room
    with process(home, "worker", "--lane", "gpu,check", **engine):
        eventually(lambda: live_workers(user))
        eventually(lambda: not read_failure(home, "worker"))
        assert json.loads((home.run / "engine.json").read_text())["pid"] == left


@pytest.mark.usefixtures("services")
def test_a_relay_whose_outbox_died_ends_and_says_why(admin_url: str, home: Home) -> None:
    execute(admin_url, "ALTER TABLE outbox RENAME COLUMN deliver_at TO due_at")
    with process(home, "relay") as relay:
        assert relay.wait(60) == 1
    assert read_failure(home, "relay").startswith("background task outbox died: ")
    assert "background task outbox died" in (home.log / "process.log").read_text()
    execute(admin_url, "ALTER TABLE outbox RENAME COLUMN due_at TO deliver_at")
    with process(home, "relay") as relay:
        eventually(lambda: not read_failure(home, "relay"))
        assert relay.poll() is None
