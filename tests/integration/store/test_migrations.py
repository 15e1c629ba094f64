from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from tasks.errors import InvalidInput
from tasks.reasons import explain
from tasks.store import dispatch, migrate
from tasks.store.ledger import PostgresLedger
from tasks.store.lifecycle import fork, request_pause, retry
from tasks.store.queries import list_jobs
from tasks.store.roles import ensure_login
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.store.tables import metadata
from tasks.types import Changes, CheckSpec, JobSpec, JobState, Lane, Stop, StopCode
from workers.local.postgres import EmbeddedPostgres

pytestmark = pytest.mark.integration
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "42"})


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

    migrate.upgrade(empty_database, "0001")
    assert upgrade(REDRAFT_CRASH_AT="migrating:3") == -signal.SIGKILL
    assert migrate.current(empty_database) == "0003"
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
    assert {row[0] for row in rows} == {
        *("alembic_version", "workers", "providers", "metric_totals", "background_tasks")
    }


BEFORE = "0010"  # the last release's schema
# Jobs as that release left them: finished, waiting, held; and a few that no submission wrote.
_FILL = """
SET session_replication_role = replica;
INSERT INTO jobs (owner, spec_hash, title, problem, checks, strategy, lane, egress, budget_usd, budget_hours,
                  budget_iterations, budget_tokens, state, iterations, finished_at)
SELECT 'owner' || n % 20, md5(n::text), 'job ' || n, 'words', jsonb_build_array(jsonb_build_object('kind', 'answer',
       'name', 'answer', 'value', n, 'files', '{}'::jsonb, 'held_out', false, 'memory_mb', 512, 'timeout_seconds',
       10)), 'correct', 'gpu', 'full', 2, 4, 30, 2000000, CASE WHEN n % 10 = 0 THEN 'queued' ELSE 'accepted' END, 3,
       CASE WHEN n % 10 > 0 THEN now() END
FROM generate_series(1, @jobs@) n;
INSERT INTO leases (job_id, owner, lane, priority, runnable)
SELECT id, owner, lane, priority, state = 'queued' FROM jobs;
UPDATE leases SET worker = 'w', turn = 't', epoch = 1, lease_until = now() + interval '1 h' WHERE job_id = 10;
INSERT INTO iterations (job_id, number, operator, move, finished_at)
SELECT id, n, 'draft', '{}', now() FROM jobs, generate_series(1, 3) n WHERE id % 10 = 0;
INSERT INTO events (job_id, kind, detail) SELECT id, 'submitted', title FROM jobs;
SET session_replication_role = DEFAULT;
"""
# What an earlier release took from whoever wrote SQL, by job: 20 and 30 wait, 10 is held, 11 has ended.
_BREAK = """
UPDATE jobs SET priority = 2000000000 WHERE id IN (10, 11);
UPDATE jobs SET checks = '5' WHERE id = 20;
UPDATE jobs SET budget_hours = 'NaN' WHERE id = 30;
"""


@pytest.mark.parametrize("jobs", [1_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_the_jobs_of_the_last_release_are_upgraded_and_go_on(
    empty_database: str, postgres: EmbeddedPostgres, jobs: int
) -> None:
    migrate.upgrade(empty_database, BEFORE)
    with psycopg.connect(empty_database.replace("+psycopg", "", 1), autocommit=True) as admin:
        admin.execute(_FILL.replace("@jobs@", str(jobs)).encode())
        admin.execute(_BREAK.encode())
        admin.execute("ANALYZE")
        migrate.upgrade(empty_database)
        ended = admin.execute("SELECT id, reason FROM jobs WHERE state = 'failed' ORDER BY id").fetchall()
        assert [job for job, _ in ended] == [10, 20, 30]
        for (_, reason), limit in zip(ended, ("jobs_priority", "jobs_checks", "jobs_budget"), strict=True):
            assert limit in reason
        held = "SELECT worker, epoch, runnable FROM leases WHERE job_id = 10"
        assert admin.execute(held).fetchone() == (None, 2, False)
        eleven = "SELECT state, priority, stop_code FROM jobs WHERE id = 11"
        assert admin.execute(eleven).fetchone() == ("accepted", 2000000000, "accepted")
        states = "SELECT state, count(*) FROM jobs GROUP BY state ORDER BY state"
        assert admin.execute(states).fetchall() == [
            ("accepted", jobs * 9 // 10),
            ("failed", 3),
            ("queued", jobs // 10 - 3),
        ]

        ensure_login(empty_database, "owner0", "secret", "redraft_submitter")
        own = postgres.url_of(empty_database.rsplit("/", 1)[1], "owner0", "secret")
        with Database(own) as owner, Database(empty_database) as fleet:
            assert {job.owner for job in list_jobs(owner, states=[JobState.QUEUED], limit=50)} == {"owner0"}
            made = submit_jobs(owner, [JobSpec(title="t", problem="p", checks=(CHECK,), priority=100)])[0].job
            claim = dispatch.claim(fleet, [Lane.GPU], "w2", "turn", dispatch.ClaimRules())
            assert claim is not None
            assert claim.job == made
            assert PostgresLedger(fleet, fault_cap=3).load(claim).spec.title == "t"
            assert request_pause(owner, 40) is JobState.PAUSED
            assert fork(owner, 40, 2, Changes()) == made + 1
            with pytest.raises(InvalidInput, match="jobs_checks"):
                retry(owner, 20, Changes())
        for view in ("job_summary", "iteration_history", "spend_by_day"):
            assert admin.execute(f"SELECT count(*) >= 0 FROM {view}").fetchone() == (True,)  # type: ignore[arg-type]

        migrate.downgrade(empty_database, BEFORE)
        assert admin.execute("SELECT count(*) FROM jobs").fetchone() == (jobs + 2,)
        assert admin.execute("SELECT redraft_cancel(50)").fetchone() == ("cancelled",)
    migrate.upgrade(empty_database)
    migrate.downgrade(empty_database, "base")


def test_a_table_that_holds_what_no_submission_writes_still_refuses_it_from_now_on(empty_database: str) -> None:
    migrate.upgrade(empty_database, BEFORE)
    with psycopg.connect(empty_database.replace("+psycopg", "", 1), autocommit=True) as admin:
        row = """INSERT INTO jobs (spec_hash, title, problem, checks, strategy, lane, egress, budget_usd, budget_hours,
                     budget_iterations, budget_tokens, state, lesson_due)
                 VALUES ('h', 't', 'p', '[]', 'correct', 'gpu', 'never', 1, 1, 1, 1, 'unsolved', true) RETURNING id"""
        admin.execute(row)
        migrate.upgrade(empty_database)
        assert admin.execute("SELECT state, lesson_due FROM jobs").fetchone() == ("unsolved", False)
        with pytest.raises(psycopg.errors.CheckViolation):
            admin.execute(row)
        valid = """SELECT bool_or(convalidated) FROM pg_constraint WHERE contype = 'c' AND conname ~ '^jobs_'
                   AND conname NOT IN ('jobs_stop_code', 'jobs_model', 'jobs_completion_tokens', 'jobs_files',
                       'jobs_ask_hours', 'jobs_local_tokens', 'jobs_cloud_tokens', 'jobs_gpu_seconds',
                       'jobs_temperature', 'jobs_start', 'jobs_evaluations')"""
        assert admin.execute(valid).fetchone() == (False,)


# A state and a reason as releases before stop codes wrote them: the code, what was used, the limit, the detail.
OLD_REASONS = {
    ("accepted", "candidate 3.1 passed every check"): ("accepted", None, None, "3.1"),
    ("unsolved", "the budget of 2e+06 tokens is spent (1.9e+06 used)"): ("budget_tokens", 1.9e6, 2e6, ""),
    ("unsolved", "the budget of 30 iterations is spent"): ("budget_iterations", None, 30, ""),
    ("unsolved", "the budget of 1.5 hours is spent"): ("budget_hours", None, 1.5, ""),
    ("unsolved", "the shortest prompt has 5000 tokens, and the model has room for 3072"): ("context", 5000, 3072, ""),
    ("unsolved", "its one draft was not accepted"): ("draft_rejected", None, None, ""),
    ("unsolved", "the cloud model's answer was rejected like the local ones"): ("cloud_rejected", None, None, ""),
    ("unsolved", "no idea is left"): ("gave_up", None, None, "no idea is left"),
    ("cancelled", "cancelled by its owner"): ("cancelled", None, None, ""),
    ("quarantined", "its worker died 3 times in a row with no iteration recorded; last on w-1"): (
        ("crashes", 3, None, "w-1")
    ),
    ("failed", "8 faults in a row, the last: engine: hung up"): ("service_faults", 8, None, "engine: hung up"),
    ("failed", "job 1, iteration 1, draft 0.1: the journal holds an answer to prompt a, the prompt built now is b"): (
        "journal_mismatch",
        None,
        None,
        "job 1, iteration 1, draft 0.1: the journal holds an answer to prompt a, the prompt built now is b",
    ),
    ("failed", "the attachment a.png (00) is not stored"): (
        ("attachment_lost", None, None, "the attachment a.png (00) is not stored")
    ),
    ("failed", "checks: 7 is stored, not a list"): ("malformed", None, None, "checks: 7 is stored, not a list"),
    ("queued", ""): (None, None, None, ""),
}


def test_what_releases_before_stop_codes_wrote_is_read_once(empty_database: str) -> None:
    migrate.upgrade(empty_database, "0013")
    with psycopg.connect(empty_database.replace("+psycopg", "", 1), autocommit=True) as admin:
        for state, reason in OLD_REASONS:
            admin.execute(
                """INSERT INTO jobs (spec_hash, title, problem, checks, strategy, lane, egress, budget_usd,
                       budget_hours, budget_iterations, budget_tokens, state, reason)
                   VALUES ('h', 't', 'p', '[{"kind": "answer", "name": "a", "value": 1}]', 'correct', 'gpu', 'never',
                       1, 1, 1, 1, %s, %s)""",
                (state, reason),
            )
        admin.execute("""INSERT INTO iterations (job_id, number, operator, move, decision, finished_at) VALUES
            (1, 1, 'draft', '{}', 'restart (2 slots): 3 revisions failed', now()),
            (1, 2, 'restart', '{}', 'stop (accepted): candidate 3.1 passed every check', now()),
            (3, 1, 'draft', '{}', 'stop (unsolved): the budget of 30 iterations is spent', now()),
            (3, 2, 'draft', '{}', '', NULL)""")
        admin.execute("""INSERT INTO events (job_id, kind, detail)
            VALUES (3, 'no lesson', 'the journal holds an answer to prompt a, the prompt now is b')""")
        migrate.upgrade(empty_database)
        ended = admin.execute("SELECT stop_code, stop_used, stop_limit, stop_detail FROM jobs ORDER BY id").fetchall()
        assert ended == list(OLD_REASONS.values())
        decided = "SELECT next_operator, stop_code FROM iterations ORDER BY job_id, number"
        assert admin.execute(decided).fetchall() == [
            ("restart", None),
            (None, "accepted"),
            (None, "budget_iterations"),
            (None, None),
        ]
        given_up = "SELECT id, lesson_stop_code FROM jobs WHERE lesson_stop_code IS NOT NULL"
        assert admin.execute(given_up).fetchall() == [(3, "journal_mismatch")]
        assert admin.execute("SELECT array_agg(DISTINCT reason) FROM jobs").fetchone() == (
            sorted(reason for _, reason in OLD_REASONS),
        )
        migrate.downgrade(empty_database, "0013")
        assert admin.execute("SELECT count(*) FROM job_summary").fetchone() == (len(OLD_REASONS),)
        assert admin.execute("SELECT redraft_cancel(15)").fetchone() == ("cancelled",)


def test_the_codes_of_the_database_and_the_reason_of_its_own_cancel_are_those_of_the_domain(admin_url: str) -> None:
    with psycopg.connect(admin_url.replace("+psycopg", "", 1)) as admin:
        row = admin.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'jobs_stop_code'")
        limit = str((row.fetchone() or [""])[0])
        assert set(re.findall(r"'(\w+)'::text", limit)) == {str(code) for code in StopCode}
        cancel = admin.execute("SELECT pg_get_functiondef('redraft_cancel(bigint)'::regprocedure)").fetchone()
    assert cancel is not None
    assert f"reason = '{explain(Stop(code=StopCode.CANCELLED))}', stop_code = '{StopCode.CANCELLED}'" in cancel[0]
