"""The text that a call is writing, from its worker to whoever watches its job, on a real Postgres."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from tasks.store import dispatch
from tasks.store.board_rows import LiveText
from tasks.store.heartbeats import LeaseHeartbeat
from tasks.store.live_text import LiveTextWriter, live_text, watch_text
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.texttail import TAIL_CHARS
from tasks.types import CallKey, CheckSpec, JobSpec, Lane, Operator
from tests.background import running

pytestmark = pytest.mark.integration
KEY = CallKey(iteration=1, operator=Operator.DRAFT, slot=0, attempt=1)
SPEC = JobSpec(title="t", problem="p", checks=(CheckSpec(name="answer", kind="answer", value={"exact": "42"}),))
SECONDS = 10.0


@pytest.fixture
def fleet_url(login: Callable[..., str]) -> str:
    return login("fleet", "redraft_worker")


@pytest.fixture
def ada(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("ada", "redraft_submitter")) as database:
        yield database


@pytest.fixture
def bob(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("bob", "redraft_submitter")) as database:
        yield database


@contextlib.contextmanager
def held(ada: Database, fleet_url: str) -> Iterator[LeaseHeartbeat]:
    """Ada's job, which a worker holds, and whose writer runs."""
    submit_jobs(ada, [SPEC])
    with Database(fleet_url) as fleet:
        claim = dispatch.claim(fleet, [Lane.GPU], "w1", "turn", dispatch.ClaimRules())
    assert claim is not None
    heartbeat = LeaseHeartbeat(claim, renewed_at=time.monotonic(), lease_seconds=15, silence_seconds=60)
    with running(LiveTextWriter(fleet_url, lambda: [heartbeat]).run):
        yield heartbeat


def seen(database: Database, job: int, until: Callable[[tuple[LiveText, ...]], bool]) -> tuple[LiveText, ...]:
    """What somebody who watches sees, once it is as wanted."""
    ends = time.monotonic() + SECONDS
    while not until(rows := live_text(database, job)):
        assert time.monotonic() < ends, rows
        watch_text(database, job)
        time.sleep(0.1)
    return rows


def test_who_watches_a_job_sees_what_its_calls_write_and_nobody_else_does(
    ada: Database, bob: Database, fleet_url: str
) -> None:
    with held(ada, fleet_url) as heartbeat:
        job = heartbeat.claim.job
        with heartbeat.calling(KEY) as call:
            call.wrote("def add", "let me think\0\ud800")
            call.beat(3)
            (row,) = seen(ada, job, bool)
            assert (row.text, row.thoughts, row.tokens) == ("def add", "let me think\ufffd?", 3)
            watch_text(bob, job)
            assert live_text(bob, job) == ()
            call.wrote("x" * 3 * TAIL_CHARS, "")
            (row,) = seen(ada, job, lambda rows: rows[0].chars > TAIL_CHARS)
            assert (len(row.text), row.chars) == (TAIL_CHARS, 3 * TAIL_CHARS + 7)
        seen(ada, job, lambda rows: not rows)


def test_of_a_job_that_nobody_watches_nothing_is_written(ada: Database, fleet_url: str) -> None:
    with held(ada, fleet_url) as heartbeat, heartbeat.calling(KEY) as call:
        call.wrote("def add", "")
        time.sleep(1.2)
        with ada.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM live_text")).scalar_one() == 0


def test_a_worker_that_lost_its_lease_writes_no_more(ada: Database, fleet_url: str) -> None:
    with held(ada, fleet_url) as heartbeat, heartbeat.calling(KEY) as call:
        call.wrote("the old one", "")
        seen(ada, heartbeat.claim.job, bool)
        with Database(fleet_url) as fleet, fleet.begin() as connection:
            connection.execute(text("UPDATE leases SET epoch = epoch + 1, worker = 'w2'"))
        call.wrote(" goes on", "")
        assert seen(ada, heartbeat.claim.job, lambda rows: not rows) == ()
        time.sleep(1.0)
        assert live_text(ada, heartbeat.claim.job) == ()


def test_a_postgres_that_goes_away_ends_no_writer(ada: Database, fleet_url: str, admin_url: str) -> None:
    with held(ada, fleet_url) as heartbeat, heartbeat.calling(KEY) as call:
        call.wrote("before", "")
        seen(ada, heartbeat.claim.job, bool)
        with Database(admin_url) as admin, admin.begin() as connection:
            ours = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"
            connection.execute(text(ours), {"name": "redraft live text"})
        call.wrote(" and after", "")
        (row,) = seen(ada, heartbeat.claim.job, lambda rows: bool(rows) and "after" in rows[0].text)
        assert row.text == "before and after"
