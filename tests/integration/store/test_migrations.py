from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from tasks.store import migrate
from tasks.store.tables import metadata

pytestmark = pytest.mark.integration


def test_up_and_down_and_up_again(empty_database: str) -> None:
    migrate.upgrade(empty_database)
    assert migrate.current(empty_database) == migrate.head()
    migrate.downgrade(empty_database, "base")
    assert migrate.current(empty_database) is None
    migrate.upgrade(empty_database)
    assert migrate.current(empty_database) == migrate.head()


def test_two_upgrades_at_once_are_safe(empty_database: str) -> None:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(migrate.upgrade, [empty_database] * 3))
    assert migrate.current(empty_database) == migrate.head()


def test_an_upgrade_that_is_killed_is_finished_by_the_next(empty_database: str) -> None:
    def upgrade(**environment: str) -> int:
        command = [sys.executable, "-m", "workers.cli.main", "db", "upgrade", "--url", empty_database]
        return subprocess.run(command, env={**os.environ, **environment}, check=False, capture_output=True).returncode

    assert upgrade(REDRAFT_CRASH_AT="migrating:3") == -signal.SIGKILL
    assert migrate.current(empty_database) == "0002"
    assert upgrade() == 0
    assert migrate.current(empty_database) == migrate.head()


def test_the_tables_are_those_of_the_migrations(admin_url: str) -> None:
    engine = create_engine(admin_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_every_table_that_holds_a_users_rows_has_forced_row_level_security(admin_url: str) -> None:
    with psycopg.connect(admin_url.replace("+psycopg", "", 1)) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
            "AND NOT (relrowsecurity AND relforcerowsecurity)"
        ).fetchall()
    assert {row[0] for row in rows} == {"alembic_version", "workers"}
