"""The runbook of backup and restore, its own commands executed: from one Postgres into another, and the memory anew."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.cli.test_memory import teach
from workers.home import Home
from workers.local.postgres import EmbeddedPostgres

pytestmark = pytest.mark.integration
RUNBOOK = Path(__file__).parents[3] / "ops" / "docs" / "backup.md"
Admin = psycopg.Connection[tuple[object, ...]]
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


def test_the_runbook_restores_jobs_requests_logins_and_the_memory(
    urls: Any, admin: Admin, other: EmbeddedPostgres, memory_part: Any, tmp_path: Path
) -> None:
    vowels = teach(admin, "ada", "counting vowels in a text")
    teach(admin, "bob", "the mean of an empty list")
    admin.execute("UPDATE jobs SET state = 'running', iterations = 0 WHERE owner = 'ada'")
    admin.execute("UPDATE leases SET epoch = 3, worker = 'w', turn = 't', lease_until = now() WHERE owner = 'ada'")
    admin.execute(
        "INSERT INTO escalations (job_id, iteration, kind, model, state, response_id, request)"
        " SELECT id, 1, 'answer', 'm', 'running', 'resp_1', '{}' FROM jobs WHERE owner = 'ada'"
    )
    part = memory_part()
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(other.programs), str(Path(sys.executable).parent), os.environ["PATH"])),
        "FROM": plain(urls.admin),
        "TO": plain(other.url_of("postgres")),
        "REDRAFT_HOME": str(tmp_path / "home"),
        "REDRAFT_MEMORY_URL": part.url,
        "REDRAFT_MEMORY_KEY": part.key,
    }
    for commands in re.findall(r"^```sh\n(.*?)^```", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL):
        ran = subprocess.run(
            ["bash", "-euc", commands], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stderr
    restored = other.url_of("redraft")
    assert contents(restored) == contents(urls.admin)
    with psycopg.connect(plain(other.url_of("redraft", "ada", "secret"))) as as_ada:
        assert as_ada.execute("SELECT count(*) FROM job_summary").fetchone() == (1,)
    asked = subprocess.run(
        [sys.executable, "-m", "workers.cli.main", "memory", "search", "how many vowels", "--json"],
        env={**environment, "REDRAFT_DATABASE_URL": other.url_of("redraft", "ada", "secret")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(asked.stdout.splitlines()[0])["lesson"] == vowels
