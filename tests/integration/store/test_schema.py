"""A fresh database is made by one file, an older one by the chain of migrations: both come to the same schema."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from alembic.script import ScriptDirectory

from ops import schema
from tasks.store import migrate
from tests.integration.store.catalogue import catalogue
from workers.local.postgres import EmbeddedPostgres

pytestmark = pytest.mark.integration
REVISIONS = [
    revision.revision
    for revision in reversed(list(ScriptDirectory(str(schema.FILE.parent)).walk_revisions()))
    if revision.revision != migrate.head()
]

# The other upgrades are slow: each runs the chain from its revision on, which the first runs whole.
RECENT = (REVISIONS[0], *REVISIONS[-3:])

# One job of every kind that a release could leave: it waits, is held, was judged and retried, has ended; with rows in
# every table. Only columns of the first revision, and names that stayed.
ROWS = """
INSERT INTO jobs (owner, spec_hash, title, problem, checks, strategy, lane, egress, budget_usd, budget_hours,
                  budget_iterations, budget_tokens, state, reason, iterations)
SELECT 'ada', 'h', 'job ' || n, 'words', '[{"kind": "judge", "name": "judge:r.md", "value": "r"}, {"kind": "answer",
       "name": "answer", "value": 42}, {"kind": "judge", "name": "judge", "value": "s"}]', 'correct', 'gpu', 'full', 2,
       4, 30, 2000000, (ARRAY['queued', 'running', 'unsolved', 'accepted'])[n], '', 1
FROM generate_series(1, 4) n;
UPDATE leases SET worker = 'w', turn = 't', epoch = 1, lease_until = now() + interval '1 h' WHERE job_id = 2;
UPDATE leases SET runnable = false WHERE job_id > 2;
INSERT INTO workers (name, host, pid, lanes, slots, version) VALUES ('w', 'h', 1, '{gpu}', 2, '0');
INSERT INTO iterations (job_id, number, operator, move, finished_at) SELECT id, 1, 'draft', '{}', now() FROM jobs;
INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision)
SELECT id, 1, 0, 'draft', '42', 1, 0, 0 FROM jobs;
INSERT INTO verdicts (job_id, iteration, slot, check_name, ordinal, kind, held_out, passed, score, feedback, seconds,
                      worker, epoch) SELECT id, 1, 0, 'answer', 0, 'answer', false, true, 1, '', 0, 'w', 1 FROM jobs;
INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text, finish_reason,
                   prompt_tokens, cached_tokens, completion_tokens, seconds, worker, epoch)
SELECT 2, 1, c.operator, 0, c.attempt, 'm', '{}', 'h', c.text, 'stop', 10, 0, 10, 1, 'w', 1
FROM (VALUES ('draft', 1, 'draft'), ('draft', 2, 'draft again'), ('judge', 1, 'judge:r.md 1 report 1'),
             ('judge', 11, 'judge:r.md 1 verdict 1'), ('judge', 21, 'judge:r.md 1 report 2'),
             ('judge', 41, 'judge:r.md 2 report 1'), ('judge', 251, 'judge:r.md 7 verdict 1'),
             ('judge', 281, 'judge 1 report 1'), ('judge', 371, 'judge 3 verdict 1')) c(operator, attempt, text);
INSERT INTO reservations (job_id, epoch, iteration, operator, slot, attempt, tokens)
VALUES (2, 1, 1, 'draft', 0, 3, 100), (2, 1, 1, 'judge', 0, 61, 100);
INSERT INTO escalations (job_id, iteration, kind, model, state, request) VALUES (3, 1, 'answer', 'm', 'done', '{}');
INSERT INTO lessons (job_id, owner, kind, situation, advice, avoid, evidence)
VALUES (4, 'ada', 'worked', 's', 'a', 'v', 'e');
INSERT INTO outbox (job_id, topic, payload) VALUES (4, 'memory.upsert', '{"lesson": 1}');
INSERT INTO owner_usage (owner, hour, engine_seconds) VALUES ('ada', date_trunc('hour', now()), 5);
INSERT INTO events (job_id, kind, detail) VALUES (2, 'moved up', ''), (2, 'retried', ''), (2, 'retried', '');
"""


@pytest.fixture
def make(postgres: EmbeddedPostgres) -> Callable[[], str]:
    """Makes an empty database and gives the superuser's URL of it."""
    numbers = itertools.count(1)

    def made() -> str:
        name = f"schema{next(numbers)}_{os.urandom(4).hex()}"
        with psycopg.connect(postgres.url.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
        return postgres.url_of(name)

    return made


def test_the_file_is_that_of_the_chain(empty_database: str) -> None:
    migrate.upgrade(empty_database, migrate.head())
    assert schema.FILE.read_text() == schema.schema(empty_database), "run `make schema`"


def test_a_fresh_database_is_the_one_that_the_chain_makes(make: Callable[[], str]) -> None:
    fresh, chained = make(), make()
    migrate.upgrade(fresh)
    migrate.upgrade(chained, migrate.head())
    assert migrate.current(fresh) == migrate.head()
    assert catalogue(fresh) == catalogue(chained)


def assert_columns_were_filled(admin: psycopg.Connection[Any]) -> None:
    """0013 splits the attempts of judges' calls, and turns events into columns."""
    calls = admin.execute(
        """SELECT text, CASE operator WHEN 'judge' THEN concat_ws(' ', check_name, vote, step, attempt)
                        ELSE text END FROM calls"""
    ).fetchall()
    assert len(calls) == 9
    assert [text for text, _ in calls] == [key for _, key in calls]
    held = "SELECT step, check_name, vote, attempt FROM reservations WHERE operator = 'judge'"
    assert admin.execute(held).fetchall() == [("report", "judge:r.md", 2, 2)]
    assert admin.execute("SELECT id, moved_up, retries FROM jobs WHERE retries > 0").fetchall() == [(2, True, 2)]


@pytest.mark.parametrize(
    "revision", [one if one in RECENT else pytest.param(one, marks=pytest.mark.slow) for one in REVISIONS]
)
def test_a_database_of_an_earlier_revision_comes_to_the_schema_of_a_fresh_one(
    revision: str, make: Callable[[], str]
) -> None:
    old, fresh = make(), make()
    migrate.upgrade(old, revision)
    with psycopg.connect(old.replace("+psycopg", "", 1), autocommit=True) as admin:
        admin.execute(ROWS.encode())
        migrate.upgrade(old)
        migrate.upgrade(fresh)
        assert catalogue(old) == catalogue(fresh)
        if revision < "0013":
            assert_columns_were_filled(admin)
        if revision < "0014":
            ended = "SELECT id, stop_code FROM jobs WHERE stop_code IS NOT NULL ORDER BY id"
            assert admin.execute(ended).fetchall() == [(3, "gave_up"), (4, "accepted")]
        migrate.downgrade(old, revision)
        attempts = "SELECT array_agg(attempt ORDER BY attempt) FROM calls WHERE operator = 'judge'"
        assert admin.execute(attempts).fetchone() == ([1, 11, 21, 41, 251, 281, 371],)


def test_a_fresh_schema_whose_making_is_killed_is_made_by_the_next(empty_database: str) -> None:
    command = [sys.executable, "-m", "workers.cli.main", "db", "upgrade", "--url", empty_database]
    killed = subprocess.run(command, env={**os.environ, "REDRAFT_CRASH_AT": "migrating:1"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert migrate.current(empty_database) is None
    subprocess.run(command, check=True)
    assert migrate.current(empty_database) == migrate.head()
