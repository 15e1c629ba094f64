"""Short rows for lists and live views, on a real Postgres with ten thousand jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import timedelta

import psycopg
import pytest

from tasks.client import Client
from tasks.errors import DatabaseUnavailable
from tasks.kinds import JobState
from tasks.store import submissions
from tasks.store.joblines import JobLines
from tasks.store.presence import WorkerRegistration, announcing, forget_others, register
from tasks.store.session import Database
from tasks.types import Budget, CheckSpec, JobSpec
from workers.cli import waiting
from workers.wording import score_of

pytestmark = pytest.mark.integration

CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "1"})
SPEC = JobSpec(title="t", problem="p", checks=(CHECK,), budget=Budget(iterations=30), tags=("night",))
CARD = WorkerRegistration(name="w1", host="here", pid=1, lanes=("check",), slots=4, model="m", version="0")
SICK = dataclasses.replace(
    CARD, closed_lanes=("gpu",), engine_fault="out of memory", fault_seconds=90.0, restarted_seconds=40.0
)


@pytest.fixture
def lines(login: Callable[..., str]) -> Iterator[JobLines]:
    """What Alice's own commands read."""
    with JobLines(login("alice"), name="redraft test") as lines:
        yield lines


@pytest.fixture
def fleet_connection(fleet_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """As a worker writes."""
    with psycopg.connect(fleet_url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


def test_a_page_of_ten_thousand_jobs_has_those_at_work_first(
    user: Database, lines: JobLines, fleet_connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    specs = [dataclasses.replace(SPEC, title=f"job {number}") for number in range(10_000)]
    numbers = [job.job for job in submissions.submit_jobs(user, specs)]
    since = lines.now()
    fleet_connection.execute(
        "UPDATE leases SET worker = 'w1', live_tokens = 7, progress_at = now() WHERE job_id = ANY(%s)",
        (numbers[500:503],),
    )
    fleet_connection.execute(
        "UPDATE jobs SET state = 'accepted', finished_at = now(), iterations = 4 WHERE id = %s", (numbers[0],)
    )
    fleet_connection.execute("UPDATE jobs SET state = 'paused' WHERE id = %s", (numbers[1],))
    page = lines.followed(None, since=since, limit=20)
    assert [job.job for job in page[:4]] == [*numbers[500:503], numbers[2]]
    assert len(page) == 20
    assert [job.job for job in lines.followed(None, since=since, offset=9_997)] == [numbers[9999], *numbers[1::-1]]
    totals = lines.totals(None, since=since)
    assert totals.jobs == {JobState.QUEUED: 9_998, JobState.PAUSED: 1, JobState.ACCEPTED: 1}
    assert (totals.working, totals.unfinished, totals.iterations_left) == (3, 9_999, 9_999 * 30)
    assert {(row.job, row.tokens) for row in lines.working()} == {(number, 7) for number in numbers[500:503]}
    assert lines.totals(None, since=since + timedelta(hours=1)).jobs.get(JobState.ACCEPTED) is None
    assert [job.job for job in lines.newest(states=[JobState.QUEUED], tags=["night"], limit=2)] == numbers[:-3:-1]
    assert lines.newest(tags=["day"]) == ()


def test_somebody_else_s_jobs_are_missing(user: Database, login: Callable[..., str]) -> None:
    (job,) = submissions.submit_jobs(user, [SPEC])
    with JobLines(login("bob"), name="redraft test") as lines:
        assert lines.followed([job.job]) == ()
        assert lines.missing([job.job]) == (job.job,)
        assert lines.totals([job.job], since=None).jobs == {}


def test_why_a_job_waits_comes_from_its_worker_and_the_last_words_of_one_that_could_not_start(
    user: Database, lines: JobLines, fleet_url: str, fleet_connection: psycopg.Connection[tuple[object, ...]]
) -> None:
    submissions.submit_jobs(user, [SPEC])
    (job,) = lines.newest()
    assert waiting.why(job, lines.workers()) == "no worker is running"
    register(fleet_connection, SICK)
    assert waiting.why(job, lines.workers()) == "waits for the engine: out of memory, restarted 40s ago"
    register(fleet_connection, dataclasses.replace(CARD, lanes=("check", "gpu"), context_tokens=8192))
    assert waiting.why(job, lines.workers()) == ""
    fleet_connection.execute("DELETE FROM workers")
    starting = dataclasses.replace(SICK, name="w2", lanes=(), restarted_seconds=None)
    with announcing(fleet_url, lambda: starting):
        pass
    fleet_connection.execute("UPDATE workers SET seen_at = now() - interval '2 min'")
    assert "out of memory, for 1m30s; its worker was last seen 2m00s ago" in waiting.why(job, lines.workers())
    forget_others(fleet_connection, dataclasses.replace(CARD, host="elsewhere"))
    assert len(lines.workers()) == 1
    forget_others(fleet_connection, CARD)
    assert lines.workers() == ()


def test_a_server_that_restarts_is_read_again_and_a_missing_schema_is_said(
    lines: JobLines, admin_url: str, empty_database: str
) -> None:
    assert lines.workers() == ()
    with psycopg.connect(admin_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'redraft test'"
        )
    with pytest.raises(DatabaseUnavailable, match="Postgres did not answer"):
        lines.workers()
    assert lines.workers() == ()
    with JobLines(empty_database, name="t") as elsewhere, pytest.raises(DatabaseUnavailable, match="db upgrade"):
        elsewhere.newest()


@pytest.mark.parametrize(("kind", "shown"), [("score", "invalid"), ("answer", "0.00")])
def test_every_list_calls_an_answer_without_a_value_invalid_only_where_the_job_has_a_score(
    alice: Client,
    lines: JobLines,
    fleet_connection: psycopg.Connection[tuple[object, ...]],
    user: Database,
    kind: str,
    shown: str,
) -> None:
    check = dataclasses.replace(CHECK, kind=kind)
    (submitted,) = submissions.submit_jobs(user, [dataclasses.replace(SPEC, checks=(CHECK, check))])

    def rows() -> list[str]:
        lists = (lines.newest(), alice.list(), [alice.summary(submitted.job)], alice.board.chosen((submitted.job,)))
        return [score_of(row) for rows in lists for row in rows]

    assert rows() == ["-"] * 4
    fleet_connection.execute("UPDATE jobs SET score = 0 WHERE id = %s", (submitted.job,))
    assert rows() == [shown] * 4
    fleet_connection.execute("UPDATE jobs SET score = 1, value = 7 WHERE id = %s", (submitted.job,))
    assert rows() == ["7"] * 4
