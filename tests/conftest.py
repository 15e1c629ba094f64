"""Shared by all tests. The services are the embedded ones, started once a session, for the tests that ask."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import structlog
from hypothesis import settings
from psycopg import sql

from tasks.client import Client
from tasks.settings import Settings
from tasks.store.migrate import upgrade
from tasks.store.roles import ensure_login
from tasks.store.session import Database
from tests.background import running
from workers.engine.choice import choose
from workers.engine.hardware import detect
from workers.engine.llamacpp import LlamaCpp
from workers.engine.profiles import load_profiles
from workers.engine.server import EngineServer
from workers.home import Home, free_port, unprivileged_ids
from workers.http_client import answers
from workers.local.postgres import EmbeddedPostgres
from workers.local.valkey import EmbeddedValkey

_number = itertools.count(1)
MEMORY = Path("/dev/shm")
# A process of tests has one or two databases of 10 MB at a time, and some grow.
MEMORY_BYTES = 2 * 10**9
# A time is never asserted: the machines are noisy.
settings.register_profile("redraft", deadline=None)
settings.load_profile("redraft")


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`make test` runs the engine that Redraft takes on this processor, `make test-slow` the other, too: where vLLM has
    no fast kernels, its environment and its tests took longer than those of any other part."""
    of_vllm = [item for item in items if item.get_closest_marker("vllm")]
    if of_vllm and choose("smollm2-135m", detect(), load_profiles(config.rootpath)).profile.engine == "llama.cpp":
        for item in of_vllm:
            item.add_marker("slow")


@pytest.fixture(scope="session")
def services_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home for the session's services."""
    home = Home(root=tmp_path_factory.mktemp("home"))
    home.make()
    return home


@pytest.fixture(scope="session")
def postgres(services_home: Home) -> Iterator[EmbeddedPostgres]:
    """A real Postgres, gone at the end of the session; it doesn't wait for the disk, as no test cuts the power."""
    server = EmbeddedPostgres(services_home)
    server.start()
    with _superuser(server) as connection, _memory_folder() as folder:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        if folder:
            connection.execute(sql.SQL("CREATE TABLESPACE memory LOCATION {}").format(sql.Literal(str(folder))))
            connection.execute("ALTER DATABASE template1 SET TABLESPACE memory")
        connection.close()
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
def empty_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The superuser's URL of a database without a schema, gone at the end of the test."""
    with _database(postgres, f"t{next(_number)}") as url:
        yield url


@pytest.fixture(scope="session")
def schema_template(postgres: EmbeddedPostgres) -> Iterator[str]:
    """The name of a database with the newest schema, which is copied and never used."""
    with _database(postgres, "with_schema") as url:
        upgrade(url)
        yield "with_schema"


@pytest.fixture
def admin_url(postgres: EmbeddedPostgres, schema_template: str) -> Iterator[str]:
    """The superuser's URL of a database with the newest schema, gone at the end of the test."""
    with _database(postgres, f"t{next(_number)}", schema_template) as url:
        yield url


@pytest.fixture
def login(postgres: EmbeddedPostgres, admin_url: str) -> Callable[..., str]:
    """Makes a login in the test's database and gives its URL: `login("alice")`, `login("w", "redraft_worker")`."""

    def make(name: str, role: str = "redraft_submitter") -> str:
        ensure_login(admin_url, name, "secret", role)  # type: ignore[arg-type]
        return postgres.url_of(admin_url.rsplit("/", 1)[1], name, "secret")

    return make


@pytest.fixture
def user(login: Callable[..., str]) -> Iterator[Database]:
    """Alice, who hands in jobs."""
    with Database(login("alice")) as database:
        yield database


@pytest.fixture
def alice(login: Callable[..., str]) -> Iterator[Client]:
    """Alice's own program."""
    with Client(login("alice")) as client:
        yield client


@pytest.fixture
def fleet_url(login: Callable[..., str]) -> str:
    """The workers' login."""
    return login("fleet", "redraft_worker")


@pytest.fixture
def fleet(fleet_url: str) -> Iterator[Database]:
    """The workers' database."""
    with Database(fleet_url) as database:
        yield database


@pytest.fixture(scope="session")
def llama_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineServer]:
    """A real engine with a real model, for the tests that any will do for: llama.cpp with SmolLM2 in four bits, as
    Redraft hosts it, ready and watched. `url` ends in /v1, `model` is what it calls itself.

    One serves the whole session: leave it running, and ask it for few tokens. What it needs is built and downloaded
    (33 MB and 93 MB) into the user's cache the first time.
    """
    home = Home(root=tmp_path_factory.mktemp("llama"))
    home.make()
    choice = choose("smollm2-135m", detect(), load_profiles(home.root), engine="llama.cpp")
    server = EngineServer(choice, LlamaCpp(), home=home, cache=Settings().cache, say=lambda line: None)
    server.start()
    with running(server.watch):
        yield server
    server.stop()


@pytest.fixture
def log_as_it_was() -> Iterator[None]:
    """For tests that set the log up, or call a command that does: its lines go to what pytest captures, which is closed
    after the test, and whatever logged after it in this process would fail."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    logging.captureWarnings(False)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPart:
    """The embedded memory: where it answers, and to whom."""

    url: str
    key: str
    process: subprocess.Popen[bytes]


@pytest.fixture
def memory_part(tmp_path: Path) -> Iterator[Callable[[], MemoryPart]]:
    """Starts the embedded memory over one folder, on another port each time; gone at the end of the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> MemoryPart:
        port, key = free_port(), "only-for-this-test"
        code = (
            "import sys; from pathlib import Path; from workers.local.memory import serve; "
            "serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])"
        )
        started.append(subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "memory"), str(port), key]))
        url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 30
        while not answers(url, {"api-key": key}):
            assert started[-1].poll() is None, "the memory ended at once"
            assert time.monotonic() < deadline, "the memory does not answer"
            time.sleep(0.05)
        return MemoryPart(url=url, key=key, process=started[-1])

    yield start
    for process in started:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _memory_folder() -> Iterator[Path | None]:
    """A folder in memory for the databases, None where there is little. Each has 300 files, and ext4 looks through the
    inodes that were freed in the last minutes whenever it makes a file, which soon is most of what a test takes."""
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < MEMORY_BYTES:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="redraft-tests-", dir=MEMORY))
    try:
        if ids := unprivileged_ids():
            os.chown(folder, *ids)
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _superuser(server: EmbeddedPostgres) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(server.url.replace("+psycopg", "", 1), autocommit=True)


@contextlib.contextmanager
def _database(server: EmbeddedPostgres, name: str, template: str = "template1") -> Iterator[str]:
    """A copy of the template, by its files (faster than through the log), with its privileges, which CREATE DATABASE
    leaves out. It is dropped in the end, so that its files never reach the disk: hundreds would take minutes."""
    create = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
    privileges = "UPDATE pg_database d SET datacl = t.datacl FROM pg_database t WHERE (d.datname, t.datname) = (%s, %s)"
    with _superuser(server) as connection:
        connection.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        if template != "template1":  # whose privileges say who may copy it
            connection.execute(privileges, (name, template))
    yield server.url_of(name)
    with _superuser(server) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
