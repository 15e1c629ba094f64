"""A real pgbouncer between us and Postgres: what people run goes through it, though it gives its connections away by
the transaction, and what needs a session is refused in a line."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tasks.client import Client
from tasks.errors import InvalidInput
from tasks.settings import load_settings
from tasks.store.address import conninfo
from tasks.store.joblines import JobLines
from tasks.store.lease_renewer import LeaseRenewer
from tasks.store.pooler import is_pooled
from tasks.store.presence import WorkerRegistration
from tasks.types import JobState
from workers.cli.main import run
from workers.home import free_port

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed"),
]
NOBODY = 65_534
CONNECTIONS = 3
JOB = {"title": "t", "problem": "p", "checks": [{"answer": "42"}]}
Addresses = Mapping[str, str]


@contextlib.contextmanager
def pgbouncer(folder: Path, direct: Addresses, mode: str) -> Iterator[Addresses]:
    """The addresses of `direct` through a pgbouncer. Each login has few connections, taken in turn, and what it does
    not know of a connection's options it drops, as many are set up."""
    servers, port = {name: conninfo_to_dict(conninfo(url)) for name, url in direct.items()}, free_port()
    server = next(iter(servers.values()))
    users = folder / "users"
    users.write_text("".join(f'"{each["user"]}" "{each["password"]}"\n' for each in servers.values()))
    ini = folder / "pgbouncer.ini"
    ini.write_text(
        f"[databases]\n* = host={server['host']} port={server['port']}\n[pgbouncer]\npool_mode = {mode}\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\n"
        f"auth_file = {users}\ndefault_pool_size = {CONNECTIONS}\nserver_round_robin = 1\n"
        "ignore_startup_parameters = options\n"
    )
    drop: list[str] = []
    if os.geteuid() == 0:  # it refuses to be root
        drop = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        for path in (folder, *folder.parents[: len(folder.relative_to(tempfile.gettempdir()).parts) - 1]):
            path.chmod(0o755)
    assert PGBOUNCER is not None
    with subprocess.Popen([*drop, PGBOUNCER, "-q", str(ini)], stderr=subprocess.DEVNULL) as process:
        try:
            through = {n: make_conninfo(**{**each, "host": "127.0.0.1", "port": port}) for n, each in servers.items()}
            until_it_answers(next(iter(through.values())))
            yield through
        finally:
            process.terminate()


def until_it_answers(address: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            return psycopg.connect(address).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "pgbouncer does not answer"
            time.sleep(0.05)


@pytest.fixture
def pooled(login: Callable[..., str], tmp_path: Path) -> Iterator[str]:
    """Alice's address through a pgbouncer that gives its connections away by the transaction."""
    with pgbouncer(tmp_path, {"alice": login("alice")}, "transaction") as addresses:
        yield addresses["alice"]


def test_people_need_no_session(pooled: str) -> None:
    def person(_: int) -> tuple[int, ...]:
        with Client(pooled, pool=1) as client, JobLines(pooled, name="test") as lines:
            jobs = tuple(client.submit(JOB)[0].job for _ in range(3))
            for _ in range(8):  # a driver prepares what it has seen five times
                assert set(jobs) <= {line.job for line in lines.newest()}
                assert client.summary(jobs[0]).state is JobState.QUEUED
                assert client.sql("SELECT 1 AS one").rows == ((1,),)
            return jobs

    with ThreadPoolExecutor(2 * CONNECTIONS) as people:
        jobs = [job for submitted in people.map(person, range(2 * CONNECTIONS)) for job in submitted]
    assert len(set(jobs)) == 6 * CONNECTIONS


def test_a_wait_ends_and_leaves_nobody_listening(pooled: str, alice: Client) -> None:
    with Client(pooled) as client:
        [job] = client.submit(JOB)
        timer = threading.Timer(0.5, alice.cancel, [job])
        timer.start()
        [ended] = client.wait(job, timeout=20)
        timer.join()
        assert ended.state is JobState.CANCELLED
        for _ in range(2 * CONNECTIONS):
            assert client.sql("SELECT pg_listening_channels()").rows == ()


def test_a_second_statement_is_refused_through_it_too(pooled: str) -> None:
    with Client(pooled) as client, pytest.raises(InvalidInput, match="multiple commands"):
        client.sql("SELECT 1; SELECT 2")


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """What the last line allows."""
    return capsys.readouterr().err.splitlines()[-1].partition("database URL: 'a connection pooler' is not allowed; ")[2]


@pytest.mark.usefixtures("log_as_it_was")
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_what_needs_a_session_says_where_postgres_is(
    mode: str,
    admin_url: str,
    fleet_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server = conninfo_to_dict(conninfo(admin_url))
    allowed = f"must connect to Postgres itself, which says that it is at {server['host']}:{server['port']}"
    monkeypatch.setenv("REDRAFT_BROKER_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("REDRAFT_HOME", str(tmp_path / "home"))
    with pgbouncer(tmp_path, {"admin": admin_url, "fleet": fleet_url}, mode) as addresses:
        monkeypatch.setenv("REDRAFT_DATABASE_URL", addresses["fleet"])
        load_settings.cache_clear()
        assert run(["worker", "--lane", "check"]) == 2
        assert refused(capsys) == f"a worker {allowed}"
        assert run(["relay"]) == 2
        assert refused(capsys) == f"the relay {allowed}"
        monkeypatch.setenv("REDRAFT_DATABASE_URL", addresses["admin"])
        assert run(["db", "upgrade"]) == 2
        assert refused(capsys) == f"a migration {allowed}"
    load_settings.cache_clear()


def test_leases_are_not_renewed_through_it(fleet_url: str, tmp_path: Path) -> None:
    """Though it was not there when the worker began."""
    card = WorkerRegistration(name="w", host="h", pid=1, lanes=("gpu",), slots=1, model="m", version="0")
    with pgbouncer(tmp_path, {"fleet": fleet_url}, "transaction") as addresses:
        renewer = LeaseRenewer(addresses["fleet"], lambda: card, lease_seconds=1)
        with pytest.raises(InvalidInput, match="a worker must connect to Postgres itself"):
            renewer.run(threading.Event())


def test_postgres_itself_is_no_pooler(admin_url: str, tmp_path: Path) -> None:
    with psycopg.connect(conninfo(admin_url)) as connection:
        assert not is_pooled(connection)
    with pgbouncer(tmp_path, {"admin": admin_url}, "session") as addresses, psycopg.connect(addresses["admin"]) as one:
        assert is_pooled(one)
