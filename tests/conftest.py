"""Shared by all tests. The services are the embedded ones, started once a session, for the tests that ask."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings

from tasks.store.migrate import upgrade
from tasks.store.roles import ensure_login
from workers.local.home import Home
from workers.local.postgres import EmbeddedPostgres
from workers.local.valkey import EmbeddedValkey

_number = itertools.count(1)
# A time is never asserted: the machines are noisy.
settings.register_profile("redraft", deadline=None)
settings.load_profile("redraft")


@pytest.fixture(scope="session")
def services_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home for the session's services."""
    home = Home(root=tmp_path_factory.mktemp("home"))
    home.make()
    return home


@pytest.fixture(scope="session")
def postgres(services_home: Home) -> Iterator[EmbeddedPostgres]:
    """A real Postgres, gone at the end of the session."""
    server = EmbeddedPostgres(services_home)
    server.start()
    yield server
    server.stop()
    _remove(services_home.postgres_folder())


@pytest.fixture(scope="session")
def valkey_url(services_home: Home) -> Iterator[str]:
    """A real Valkey, gone at the end of the session."""
    server = EmbeddedValkey(services_home)
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
def empty_database(postgres: EmbeddedPostgres) -> str:
    """The superuser's URL of a database without a schema."""
    name = f"t{next(_number)}"
    with psycopg.connect(postgres.url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
    return postgres.url_of(name)


@pytest.fixture
def admin_url(empty_database: str) -> str:
    """The superuser's URL of a database with the newest schema."""
    upgrade(empty_database)
    return empty_database


@pytest.fixture
def login(postgres: EmbeddedPostgres, admin_url: str) -> Callable[..., str]:
    """Makes a login in the test's database and gives its URL: `login("alice")`, `login("w", "redraft_worker")`."""

    def make(name: str, role: str = "redraft_submitter") -> str:
        ensure_login(admin_url, name, "secret", role)  # type: ignore[arg-type]
        return postgres.url_of(admin_url.rsplit("/", 1)[1], name, "secret")

    return make


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
