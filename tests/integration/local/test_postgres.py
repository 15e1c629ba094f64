"""The embedded Postgres when things go wrong around it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tasks.errors import PartFailed
from tasks.store.roles import ensure_login
from workers.home import Home
from workers.local.postgres import EmbeddedPostgres

pytestmark = pytest.mark.integration

START = """
import sys
from pathlib import Path
from workers.home import Home
from workers.local.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Home(root=Path(sys.argv[1])))
server.start()
print(server.pid, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(root=tmp_path / "home")
    yield made
    shutil.rmtree(made.postgres_folder().parent if os.geteuid() == 0 else made.root, ignore_errors=True)


@pytest.fixture
def server(home: Home) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(home)
    made.start()
    yield made
    made.stop()


def ask(server: EmbeddedPostgres, query: str) -> object:
    with psycopg.connect(server.url.replace("+psycopg", "", 1), autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchone() if cursor.description else None


def below(folder: Path) -> list[psutil.Process]:
    """Processes that name a folder in their command line."""
    return [p for p in psutil.process_iter(["cmdline"]) if any(str(folder) in a for a in p.info["cmdline"] or ())]


def until_gone(folder: Path) -> list[psutil.Process]:
    deadline = time.monotonic() + 20
    while (left := below(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def test_what_was_committed_outlives_a_stop_and_a_kill(server: EmbeddedPostgres) -> None:
    ask(server, "CREATE TABLE kept (n int)")
    ask(server, "INSERT INTO kept VALUES (1)")
    server.stop()
    server.start()
    ask(server, "INSERT INTO kept VALUES (2)")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    server.start()
    assert ask(server, "SELECT array_agg(n ORDER BY n) FROM kept") == ([1, 2],)
    assert ask(server, "SELECT current_setting('fsync') || current_setting('synchronous_commit')") == ("onon",)


def test_a_first_start_that_was_killed_half_way_is_made_anew(home: Home) -> None:
    """At many moments of initdb: its version file is there long before the cluster is whole."""
    folder = home.postgres_folder()
    for after in (0.0, 0.05, 0.15, 0.3, 0.6):
        starter = subprocess.Popen(
            [sys.executable, "-c", START, str(home.root)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while not any("initdb" in p.info["cmdline"][0] for p in below(folder) if p.info["cmdline"]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(after)
        starter.kill()
        starter.communicate()
        assert until_gone(folder) == []
    server = EmbeddedPostgres(home)
    server.start()
    assert server.healthy
    server.stop()
    assert not list(folder.glob("*password*"))


def test_a_killed_supervisor_takes_its_server_along_and_the_next_start_goes_on(home: Home) -> None:
    supervisor = subprocess.Popen(
        [sys.executable, "-c", START, str(home.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout is not None
    assert int(supervisor.stdout.readline()) > 0
    supervisor.kill()
    supervisor.communicate()
    server = EmbeddedPostgres(home)
    server.start()  # at once: the old one may still be shutting down
    assert server.healthy
    server.stop()
    assert until_gone(home.postgres_folder()) == []


def test_a_pid_that_is_another_servers_by_now_is_left_alone(server: EmbeddedPostgres, tmp_path: Path) -> None:
    other_home = Home(root=tmp_path / "other")
    other = EmbeddedPostgres(other_home)
    try:
        other.start()
        other.stop()
        (other_home.postgres_folder() / "data" / "postmaster.pid").write_text(f"{server.pid}\n")
        other.start()
        assert server.healthy
        assert other.healthy
        other.stop()
    finally:
        shutil.rmtree(other_home.postgres_folder().parent if os.geteuid() == 0 else other_home.root)


def test_data_of_another_major_version_are_refused_by_name(server: EmbeddedPostgres, home: Home) -> None:
    server.stop()
    (home.postgres_folder() / "data" / "PG_VERSION").write_text("15\n")
    with pytest.raises(PartFailed, match="Postgres 15"):
        server.start()


@pytest.mark.parametrize("name", ["a home with spaces", "a/" * 30 + "deep"])
def test_the_homes_path_may_be_any(tmp_path: Path, name: str) -> None:
    home = Home(root=tmp_path / name)
    server = EmbeddedPostgres(home)
    try:
        server.start()
        assert server.healthy
        server.stop()
    finally:
        shutil.rmtree(home.postgres_folder().parent if os.geteuid() == 0 else home.root, ignore_errors=True)


def test_a_strict_umask_keeps_nothing_from_the_server(home: Home) -> None:
    before = os.umask(0o077)
    try:
        server = EmbeddedPostgres(home)
        server.start()
        assert server.healthy
        server.stop()
    finally:
        os.umask(before)


def test_it_listens_on_loopback_only_and_its_password_is_in_no_log(server: EmbeddedPostgres, home: Home) -> None:
    assert server.pid is not None
    process = psutil.Process(server.pid)
    assert {c.laddr.ip for c in process.net_connections() if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
    assert server.password not in " ".join(process.cmdline())
    assert all(server.password not in log.read_text(errors="replace") for log in home.log.iterdir())


def test_a_submitters_login_gets_into_the_stacks_database_alone(postgres: EmbeddedPostgres, admin_url: str) -> None:
    ensure_login(admin_url, "visitor", "secret", "redraft_submitter")
    for other in ("postgres", "template1"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(postgres.url_of(other, "visitor", "secret").replace("+psycopg", "", 1))
