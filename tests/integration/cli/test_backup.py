"""The runbook of backup and restore, its own commands executed: from one Postgres into another, and the memory anew."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import psycopg
import pytest

from tasks.client import Client
from tasks.store import roles
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, JobSpec, JobState
from tests.integration.cli.test_memory import teach
from tests.standin.saying import serving
from workers.home import Home
from workers.local.postgres import EmbeddedPostgres

pytestmark = pytest.mark.integration
RUNBOOK = Path(__file__).parents[3] / "ops" / "docs" / "backup.md"
Admin = psycopg.Connection[tuple[object, ...]]
SPEC = JobSpec(
    title="Held", problem="How many?", checks=(CheckSpec(name="answer", kind="answer", value=42),), memory=False
)
# What is compared: every table of jobs, as text.
EVERYTHING = (
    "SELECT string_agg(j::text, chr(10) ORDER BY j.id) FROM jobs j",
    "SELECT string_agg(l::text, chr(10) ORDER BY l.job_id) FROM leases l",
    "SELECT string_agg(m::text, chr(10) ORDER BY m.id) FROM lessons m",
    "SELECT string_agg(e::text, chr(10) ORDER BY e.id) FROM escalations e",
)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A fresh server, gone at the end of the test."""
    import shutil

    home = Home(root=tmp_path / "other")
    home.make()
    server = EmbeddedPostgres(home)
    server.start()
    with psycopg.connect(plain(server.url_of("postgres")), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS redraft")
    yield server
    server.stop()
    shutil.rmtree(home.postgres_folder(), ignore_errors=True)


def plain(url: str) -> str:
    return url.replace("+psycopg", "", 1)


def contents(url: str) -> list[object]:
    with psycopg.connect(plain(url)) as connection:
        return [connection.execute(query).fetchone() for query in EVERYTHING]


@pytest.mark.timeout(600)  # it starts two servers, a memory, a relay and a worker
def test_the_runbook_restores_jobs_requests_logins_and_the_memory(
    urls: Any, admin: Admin, other: EmbeddedPostgres, memory_part: Any, valkey_url: str, tmp_path: Path
) -> None:
    vowels = teach(admin, "ada", "counting vowels in a text")
    teach(admin, "bob", "the mean of an empty list")
    admin.execute("UPDATE jobs SET state = 'running', iterations = 0 WHERE owner = 'ada'")
    admin.execute("UPDATE leases SET epoch = 3, worker = 'w', turn = 't', lease_until = now() WHERE owner = 'ada'")
    admin.execute(
        "INSERT INTO escalations (job_id, iteration, kind, model, state, response_id, request)"
        " SELECT id, 1, 'answer', 'm', 'running', 'resp_1', '{}' FROM jobs WHERE owner = 'ada'"
    )
    roles.ensure_login(urls.admin, "fleet", "secret", "redraft_worker")
    with Database(urls.ada, pool=1) as database:
        open_job = submit_jobs(database, [SPEC])[0].job
    admin.execute(
        "UPDATE leases SET epoch = 5, worker = 'w', turn = 't', lease_until = now() WHERE job_id = %s", (open_job,)
    )
    kept = memory_part()
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(other.programs), str(Path(sys.executable).parent), os.environ["PATH"])),
        "FROM": plain(urls.admin),
        "TO": plain(other.url_of("postgres")),
        "REDRAFT_HOME": str(tmp_path / "home"),
        "REDRAFT_MEMORY_URL": kept.url,
        "REDRAFT_MEMORY_KEY": kept.key,
    }
    for commands in re.findall(r"^```sh\n(.*?)^```", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL):
        ran = subprocess.run(
            ["bash", "-euc", commands], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
    restored = other.url_of("redraft")
    assert contents(restored) == contents(urls.admin)
    with psycopg.connect(plain(other.url_of("redraft", "ada", "secret"))) as as_ada:
        assert as_ada.execute("SELECT count(*) FROM job_summary").fetchone() == (2,)
    asked = subprocess.run(
        [sys.executable, "-m", "workers.cli.main", "memory", "search", "how many vowels", "--json"],
        env={**environment, "REDRAFT_DATABASE_URL": other.url_of("redraft", "ada", "secret")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(asked.stdout.splitlines()[0])["lesson"] == vowels
    finishes(open_job, other, {**environment, "REDRAFT_BROKER_URL": valkey_url}, tmp_path)


def finishes(job: int, other: EmbeddedPostgres, environment: dict[str, str], folder: Path) -> None:
    """A relay and a worker on the restored server take the job that was held at the time of the dump, and end it."""
    given = {**environment, "REDRAFT_DATABASE_URL": plain(other.url_of("redraft", "fleet", "secret"))}
    with (
        serving(lambda prompt: "ANSWER: 42") as url,
        (folder / "parts.log").open("w+") as log,
        part(["relay"], given, log),
        part(["worker", "--lane", "gpu,check"], {**given, "REDRAFT_ENDPOINT": url}, log),
        Client(other.url_of("redraft", "ada", "secret")) as ada,
    ):
        [ended] = ada.wait(job, timeout=120)
        log.seek(0)
        assert ended.state is JobState.ACCEPTED, log.read()
        assert all(row.epoch is not None and row.epoch > 5 for row in ada.history(job))


@contextlib.contextmanager
def part(argv: list[str], environment: dict[str, str], log: TextIO) -> Iterator[None]:
    command = [sys.executable, "-m", "workers.cli.main", *argv]
    with subprocess.Popen(command, env=environment, stdout=log, stderr=log) as running:
        try:
            yield
        finally:
            running.terminate()
