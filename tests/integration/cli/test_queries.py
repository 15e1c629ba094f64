"""What people do with jobs, on a real Postgres."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import psycopg
import pytest

from tasks.errors import InvalidInput, NoSuchJob
from tasks.store import stored
from tasks.store.codec import checks_to_json
from tasks.store.fleet import live_workers
from tasks.store.lifecycle import request_cancel
from tasks.store.queries import job_history, job_summary, list_jobs
from tasks.store.reading import run_sql
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import Acceptance, Budget, CheckSpec, Egress, JobSpec, JobState, Lane

pytestmark = pytest.mark.integration

SPEC = JobSpec(
    title="Add",
    problem="Add two numbers.",
    checks=(CheckSpec(name="python:t.py", kind="python", value="t.py", held_out=True, files={"t.py": "assert 1"}),),
    budget=Budget(usd=Decimal("1.10"), hours=0.5, iterations=3, tokens=1000),
    lane=Lane.FAST,
    egress=Egress.NEVER,
    priority=7,
    tags=("a", "b"),
    seed=9,
)
Admin = psycopg.Connection[tuple[object, ...]]


def test_a_stored_job_is_the_spec_that_was_handed_in(ada: Database) -> None:
    (made,) = submit_jobs(ada, [SPEC])
    found = job_summary(ada, made.job)
    assert (found.state, found.owner, found.iterations, found.answer) == (JobState.QUEUED, "ada", 0, None)
    assert (found.budget, found.lane, found.egress, found.tags) == (SPEC.budget, Lane.FAST, Egress.NEVER, ("a", "b"))
    row = run_sql(ada, "SELECT * FROM jobs").rows[0]
    assert row[6] == checks_to_json(SPEC.checks)


def test_many_jobs_keep_their_order(ada: Database) -> None:
    specs = [dataclasses.replace(SPEC, title=f"t{n}", key=f"k{n}" if n % 700 == 3 else None) for n in range(2500)]
    made = submit_jobs(ada, specs)
    titles = {job.job: job.title for job in list_jobs(ada)}
    assert [titles[one.job] for one in made] == [spec.title for spec in specs]
    assert [one.job for one in made] == sorted(one.job for one in made)


def test_a_key_gives_the_same_job_back(ada: Database) -> None:
    keyed = dataclasses.replace(SPEC, key="k")
    first, twin = submit_jobs(ada, [keyed, keyed])
    (again,) = submit_jobs(ada, [keyed])
    assert first.new
    assert not twin.new
    assert not again.new
    assert first.job == twin.job == again.job
    assert len(list_jobs(ada)) == 1


def test_a_key_with_other_content_stores_nothing_of_the_batch(ada: Database) -> None:
    submit_jobs(ada, [dataclasses.replace(SPEC, key="k")])
    with pytest.raises(InvalidInput, match="key: 'k' is not allowed; it names job 1"):
        submit_jobs(ada, [SPEC, dataclasses.replace(SPEC, key="k", title="other")])
    assert len(list_jobs(ada)) == 1


def test_the_same_key_at_once_makes_one_job(ada: Database) -> None:
    keyed = dataclasses.replace(SPEC, key="k")
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: submit_jobs(ada, [keyed])[0], range(16)))
    assert len({one.job for one in made}) == 1
    assert sum(one.new for one in made) == 1


def test_another_owner_sees_nothing_and_has_keys_of_their_own(ada: Database, urls: object) -> None:
    keyed = dataclasses.replace(SPEC, key="k")
    (mine,) = submit_jobs(ada, [keyed])
    with Database(urls.bob, pool=1) as bob:  # type: ignore[attr-defined]
        assert list_jobs(bob) == ()
        with pytest.raises(NoSuchJob):
            job_summary(bob, mine.job)
        with pytest.raises(NoSuchJob):
            job_history(bob, mine.job)
        with pytest.raises(NoSuchJob):
            request_cancel(bob, mine.job)
        assert submit_jobs(bob, [keyed])[0].job != mine.job
    assert job_summary(ada, mine.job).state is JobState.QUEUED


def test_lists_are_filtered_by_state_tag_owner_and_number(ada: Database) -> None:
    one, two = submit_jobs(ada, [SPEC, dataclasses.replace(SPEC, tags=("c",))])
    request_cancel(ada, two.job)
    assert [job.job for job in list_jobs(ada)] == [two.job, one.job]
    assert [job.job for job in list_jobs(ada, states=[JobState.CANCELLED])] == [two.job]
    assert [job.job for job in list_jobs(ada, tags=["a", "b"])] == [one.job]
    assert [job.job for job in list_jobs(ada, jobs=[one.job])] == [one.job]
    assert list_jobs(ada, owner="bob") == ()
    assert len(list_jobs(ada, limit=1)) == 1


def test_a_waiting_job_is_cancelled_at_once_and_stays_so(ada: Database) -> None:
    (made,) = submit_jobs(ada, [SPEC])
    assert request_cancel(ada, made.job) is JobState.CANCELLED
    assert request_cancel(ada, made.job) is JobState.CANCELLED
    assert job_summary(ada, made.job).finished_at is not None


def test_a_held_job_is_told_to_stop(ada: Database, admin: Admin) -> None:
    (made,) = submit_jobs(ada, [SPEC])
    admin.execute("UPDATE leases SET worker = 'w', phase = 'drafting', live_tokens = 5")
    admin.execute("UPDATE jobs SET state = 'running'")
    assert request_cancel(ada, made.job) is JobState.RUNNING
    found = job_summary(ada, made.job)
    assert (found.cancel_requested, found.worker, found.phase, found.live_tokens) == (True, "w", "drafting", 5)


def seed_history(admin: Admin, job: int) -> None:
    """One accepted iteration of two candidates, as a worker would record it."""
    for statement in (
        "INSERT INTO iterations (job_id, number, operator, move, decision, best_slot, score, worker, epoch,"
        " started_at, finished_at) VALUES (%s, 1, 'draft', '{}', 'stop (accepted)', 1, 1.0, 'w', 2,"
        " now() - interval '3 s', now())",
        "INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision, score)"
        " SELECT %s, 1, n, 'draft', 'text ' || n, 1, n, 0, n FROM generate_series(0, 1) n",
        "INSERT INTO verdicts (job_id, iteration, slot, check_name, ordinal, kind, held_out, passed, score, feedback,"
        " seconds, worker, epoch) SELECT %s, 1, n, 'python:t.py', 0, 'python', true, n = 1, n, 'said', 0.1, 'w', 2"
        " FROM generate_series(0, 1) n",
        "INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text,"
        " finish_reason, prompt_tokens, cached_tokens, completion_tokens, usd, seconds, worker, epoch)"
        " SELECT %s, 1, 'draft', n, 0, 'm', '{}', 'h', 't', 'stop', 10, 4, 5, 0.01, 1, 'w', 2"
        " FROM generate_series(0, 1) n",
        "UPDATE jobs SET state = 'accepted', acceptance = 'verified', iterations = 1, score = 1, answer = 'text 1',"
        " answer_iteration = 1, answer_slot = 1, spent_usd = 0.02, local_tokens = 30, started_at = now(),"
        " finished_at = now(), reason = 'every check passed' WHERE id = %s",
    ):
        admin.execute(statement, (job,))


def test_history_gives_the_best_candidate_with_its_verdicts_and_all_tokens(ada: Database, admin: Admin) -> None:
    (made,) = submit_jobs(ada, [SPEC])
    seed_history(admin, made.job)
    (row,) = job_history(ada, made.job)
    assert (row.iteration, row.operator, row.model, row.candidate, row.score) == (1, "draft", "m", "text 1", 1.0)
    assert (row.prompt_tokens, row.cached_tokens, row.completion_tokens, row.usd) == (20, 8, 10, Decimal("0.02"))
    assert [(v.check, v.passed, v.held_out, v.feedback) for v in row.verdicts] == [("python:t.py", True, True, "said")]
    assert row.seconds == pytest.approx(3.0)
    found = job_summary(ada, made.job)
    assert (found.state, found.acceptance, found.answer) == (JobState.ACCEPTED, Acceptance.VERIFIED, "text 1")


def test_workers_show_how_long_they_have_been_silent(ada: Database, admin: Admin) -> None:
    admin.execute(
        "INSERT INTO workers (name, host, pid, lanes, slots, version, seen_at)"
        " VALUES ('w', 'h', 1, '{gpu,check}', 2, '0', now() - interval '1 h')"
    )
    (worker,) = live_workers(ada)
    assert worker.lanes == ("gpu", "check")
    assert worker.silent_seconds > 3000


def test_a_spec_survives_storing_and_loading(ada: Database, admin: Admin) -> None:
    submit_jobs(ada, [dataclasses.replace(SPEC, key="k")])
    with ada.connect() as connection:
        row = connection.exec_driver_sql("SELECT * FROM jobs").one()
    assert stored.spec_of(row) == dataclasses.replace(SPEC, key="k")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS one",
        "/* why */ -- so\n (VALUES (1))",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "SELECT '100%' AS share WHERE 'a' LIKE '%a'",
        "TABLE job_summary",
        "SELECT 1;",
    ],
)
def test_sql_answers_one_reading_statement(ada: Database, query: str) -> None:
    submit_jobs(ada, [SPEC])
    assert len(run_sql(ada, query).rows) == 1


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("", "one statement that begins with"),
        ("DELETE FROM jobs", "one statement that begins with"),
        ("DO $$ BEGIN RESET ROLE; END $$", "one statement that begins with"),
        ("SELECT 1; SELECT 2", "cannot insert multiple commands"),
        ("SELECT 1; DROP TABLE jobs", "cannot insert multiple commands"),
        ("WITH x AS (DELETE FROM jobs RETURNING 1) SELECT * FROM x", "in a read-only transaction"),
        ("SELECT redraft_cancel(1)", "permission denied"),
        ("SELECT nextval('jobs_id_seq')", "permission denied"),
        ("selec 1", "one statement that begins with"),
        ("SELECT nothing FROM job_summary", 'column "nothing" does not exist'),
        ("SELECT 1/0", "division by zero"),
        ("SELECT 'a\0b'", "text of Unicode without NUL"),
    ],
)
def test_sql_refuses_the_rest_and_changes_nothing(ada: Database, query: str, why: str) -> None:
    submit_jobs(ada, [SPEC])
    with pytest.raises(InvalidInput, match="sql: ") as caught:
        run_sql(ada, query)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [job.state for job in list_jobs(ada)] == [JobState.QUEUED]


def test_sql_names_columns_apart_and_goes_on_after_an_error(ada: Database) -> None:
    with pytest.raises(InvalidInput, match="division by zero"):
        run_sql(ada, "SELECT 1/0")
    assert run_sql(ada, "SELECT 1 AS a, 2 AS a, 3 AS b").columns == ("a", "a_2", "b")
    submit_jobs(ada, [SPEC])  # the reader's role did not outlive its transaction
