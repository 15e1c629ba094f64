"""A real Postgres with the schema, a person's login, and `redraft` called in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tasks.settings import load_settings
from tasks.store import migrate, roles
from tasks.store.session import Database
from workers.cli.main import run
from workers.local.postgres import EmbeddedPostgres


@dataclass(frozen=True, slots=True, kw_only=True)
class Urls:
    """Logins to one migrated database: a superuser, and two people."""

    admin: str
    ada: str
    bob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a command line came to."""

    code: int
    out: str
    err: str


Redraft = Callable[..., Said]


@pytest.fixture(scope="session")
def urls(postgres: EmbeddedPostgres) -> Urls:
    """One database for all tests of the command line; each empties it."""
    with psycopg.connect(postgres.url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("CREATE DATABASE cli")
    admin = postgres.url_of("cli")
    migrate.upgrade(admin)
    for name in ("ada", "bob"):
        roles.ensure_login(admin, name, "secret", "redraft_submitter")
    ada, bob = (postgres.url_of("cli", name, "secret") for name in ("ada", "bob"))
    return Urls(admin=admin, ada=ada, bob=bob)


@pytest.fixture
def admin(urls: Urls) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A superuser's connection to a database without a job."""
    with psycopg.connect(urls.admin.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "TRUNCATE jobs, batches, family_counts, workers, owner_usage, daily_limits, daily_warnings, attachments, "
            "providers, hooks, engine_outages "
            "RESTART IDENTITY CASCADE"
        )
        yield connection


@pytest.fixture
def ada(urls: Urls, admin: object) -> Iterator[Database]:
    """Ada's login to a database without a job."""
    with Database(urls.ada, pool=1) as database:
        yield database


@pytest.fixture
def redraft(
    urls: Urls, admin: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Redraft]:
    """Runs a command line as Ada, in an empty folder."""
    monkeypatch.setenv("REDRAFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("REDRAFT_DATABASE_URL", urls.ada)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    capsys.readouterr()

    def call(*arguments: str) -> Said:
        code = run(list(arguments))
        captured = capsys.readouterr()
        return Said(code=code, out=captured.out, err=captured.err)

    yield call
    load_settings.cache_clear()
