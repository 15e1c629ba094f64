"""What a submitter's open transaction holds up: the jobs of that owner, and nobody else's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tasks.errors import Cancelled, DatabaseUnavailable
from tasks.memory.embedder import Embedder
from tasks.memory.twin import InMemoryBank
from tasks.store import dispatch, leases, reaping
from tasks.store.heartbeats import LeaseHeartbeat
from tasks.store.lease_renewer import LeaseRenewer
from tasks.store.lesson_queries import REMOVE, IndexDelivery
from tasks.store.lesson_writes import UPSERT
from tasks.store.outbox import Outbox
from tasks.store.presence import WorkerRegistration
from tasks.store.roles import CONNECTIONS, ensure_login
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, Claim, JobSpec, Lane
from tests.background import running

pytestmark = pytest.mark.integration
Connection = psycopg.Connection[Any]
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
LEASE = 1.5
RULES = dispatch.ClaimRules(lease_seconds=LEASE)


def spec(**fields: object) -> JobSpec:
    return JobSpec(title="t", problem="p", checks=(CHECK,), **fields)  # type: ignore[arg-type]


def plain(url: str) -> str:
    return url.replace("+psycopg", "", 1)


@pytest.fixture
def eve_url(login: Callable[..., str]) -> str:
    return login("eve")


@pytest.fixture
def eve(eve_url: str) -> Iterator[Connection]:
    """Whose transaction never ends."""
    with psycopg.connect(plain(eve_url)) as connection:
        yield connection
        connection.rollback()


@pytest.fixture
def renewer(fleet_url: str) -> Iterator[LeaseRenewer]:
    card = WorkerRegistration(name="w1", host="h", pid=1, lanes=("gpu",), slots=4, model="m", version="0")
    made = LeaseRenewer(fleet_url, lambda: card, lease_seconds=LEASE)
    with running(made.run):
        yield made


def put(url: str, **fields: object) -> int:
    with Database(url) as database:
        return submit_jobs(database, [spec(**fields)])[0].job


def take(fleet: Database) -> Claim:
    claim = dispatch.claim(fleet, [Lane.GPU], "w1", "turn", RULES)
    assert claim is not None
    return claim


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def renewed_again(heartbeat: LeaseHeartbeat) -> None:
    """Waits for two more renewals."""
    for _ in range(2):
        before = heartbeat.renewed_at
        wait_until(lambda before=before: heartbeat.renewed_at > before)  # type: ignore[misc]


def test_a_row_that_its_owner_holds_costs_that_lease_alone(
    eve: Connection, eve_url: str, user: Database, fleet: Database, renewer: LeaseRenewer
) -> None:
    evil, good = put(eve_url), submit_jobs(user, [spec()])[0].job
    heartbeats = {claim.job: renewer.hold(claim) for claim in (take(fleet), take(fleet))}
    renewed_again(heartbeats[good])
    eve.execute("SELECT redraft_pause(%s)", (evil,))
    held_at = heartbeats[evil].renewed_at
    wait_until(lambda: time.monotonic() > held_at + LEASE)
    renewed_again(heartbeats[good])
    heartbeats[good].check()
    assert reaping.reap(fleet, crash_cap=3) == ()  # it passes the row over, too
    with fleet.connect() as connection:
        expired = connection.exec_driver_sql("SELECT job_id FROM leases WHERE lease_until < now()").scalars().all()
    assert list(expired) == [evil]
    eve.rollback()
    assert reaping.reap(fleet, crash_cap=3) == (evil,)


def test_a_lease_whose_row_was_locked_for_a_moment_goes_on(
    eve: Connection, eve_url: str, fleet: Database, renewer: LeaseRenewer
) -> None:
    job = put(eve_url)
    heartbeat = renewer.hold(take(fleet))
    renewed_again(heartbeat)
    eve.execute("SELECT redraft_resume(%s)", (job,))
    before = heartbeat.renewed_at
    wait_until(lambda: time.monotonic() > before + LEASE / 2)
    eve.commit()
    renewed_again(heartbeat)
    heartbeat.check()


@pytest.mark.parametrize("channel", ["redraft_cancel", "redraft_pause"])
@pytest.mark.parametrize("payload", ["", "junk", "99999999999999999999", "{job}"])
def test_a_notification_of_anybodys_stops_nothing(
    eve: Connection, user: Database, fleet: Database, renewer: LeaseRenewer, channel: str, payload: str
) -> None:
    job = submit_jobs(user, [spec()])[0].job
    heartbeat = renewer.hold(take(fleet))
    eve.execute("SELECT pg_notify(%s, %s)", (channel, payload.format(job=job)))
    eve.commit()
    renewed_again(heartbeat)
    heartbeat.check()


def test_the_owners_cancel_is_still_heard_at_once(user: Database, fleet: Database, renewer: LeaseRenewer) -> None:
    job = submit_jobs(user, [spec()])[0].job
    heartbeat = renewer.hold(take(fleet))
    with user.begin() as connection:
        connection.exec_driver_sql("SELECT redraft_cancel(%s)", (job,))
    wait_until(lambda: heartbeat.cancelled)
    with pytest.raises(Cancelled):
        heartbeat.check()


CALLS = (
    "redraft_cancel({job})",
    "redraft_pause({job})",
    "redraft_resume({job})",
    "redraft_retry({job}, NULL, NULL, NULL, NULL)",
    "redraft_fork({job}, 1, NULL, NULL, NULL, NULL, NULL, NULL)",
    "redraft_owns({job})",
    "redraft_hint({job}, 'Look again.')",
    "redraft_go_on({job})",
    "redraft_answer({job}, 'Yes.')",
    "redraft_edit({job}, NULL, NULL, 9, NULL, 5, NULL, NULL, NULL, 0)",
    "redraft_quarantine(1)",
)


@pytest.mark.parametrize("call", CALLS)
def test_whose_job_it_is_is_asked_before_a_row_is_locked(
    eve: Connection, user: Database, admin_url: str, call: str
) -> None:
    job = submit_jobs(user, [spec()])[0].job
    with psycopg.connect(plain(admin_url)) as admin:
        admin.execute(
            "INSERT INTO lessons (job_id, owner, kind, situation, advice, avoid, evidence)"
            " VALUES (%s, 'alice', 'success', '', '', '', '')",
            (job,),
        )
        admin.commit()
        assert eve.execute(f"SELECT {call.format(job=job)}").fetchone() in ((None,), (False,))  # type: ignore[arg-type]
        for table in ("jobs", "leases", "lessons"):
            admin.execute(f"SELECT 1 FROM {table} FOR UPDATE NOWAIT").fetchall()  # type: ignore[arg-type]


INSERT = """INSERT INTO jobs (key, spec_hash, title, problem, checks, strategy, lane, egress, budget_usd, budget_hours,
                              budget_iterations, budget_tokens)
            VALUES ('k', 'h', 't', 'p', '[{"kind": "answer", "name": "a", "value": 1}]', 'correct', 'gpu', 'never',
                    1, 1, 1, 1)"""


def test_an_open_submission_keeps_no_other_owner_from_submitting_and_none_from_being_served(
    eve: Connection, eve_url: str, user: Database, fleet: Database
) -> None:
    waiting = put(eve_url)
    eve.execute(INSERT)
    eve.execute("SELECT redraft_pause(%s)", (waiting,))
    made = submit_jobs(user, [spec(key="k"), spec()])
    assert {take(fleet).job, take(fleet).job} == {one.job for one in made}
    assert dispatch.claim(fleet, [Lane.GPU], "w1", "turn", RULES) is None


def test_a_workers_write_waits_for_a_row_no_longer_than_it_says(
    eve: Connection, eve_url: str, fleet: Database, fleet_url: str
) -> None:
    job = put(eve_url)
    claim = take(fleet)
    eve.execute("SELECT redraft_pause(%s)", (job,))
    with (
        Database(fleet_url, lock_seconds=0.2) as worker,
        pytest.raises(DatabaseUnavailable, match="lock timeout"),
        worker.begin() as connection,
    ):
        leases.fence(connection, claim)


def test_a_lesson_that_its_owner_holds_is_carried_later_and_others_now(
    eve: Connection, eve_url: str, user: Database, fleet: Database, admin_url: str
) -> None:
    jobs = [(put(eve_url), "eve"), (submit_jobs(user, [spec()])[0].job, "alice")]
    with psycopg.connect(plain(admin_url)) as admin:
        for job, owner in jobs:
            admin.execute(
                """WITH made AS (INSERT INTO lessons (job_id, owner, kind, situation, advice, avoid, evidence)
                   VALUES (%s, %s, 'success', %s, 'a', '', 'e') RETURNING id, job_id)
                   INSERT INTO outbox (job_id, topic, payload)
                   SELECT job_id, %s, jsonb_build_object('lesson', id) FROM made""",
                (job, owner, f"of {owner}", UPSERT),
            )
    eve.execute("SELECT redraft_quarantine(id) FROM lessons")
    bank = InMemoryBank(Embedder())
    delivery = IndexDelivery(bank)
    outbox = Outbox(fleet, {UPSERT: delivery.upsert, REMOVE: delivery.remove})
    refused, carried = outbox.deliver(), outbox.deliver()
    assert "could not obtain lock" in (refused or "")
    assert (carried, bank.count()) == ("", 1)


def test_a_login_opens_so_many_connections_and_workers_are_left_theirs(
    eve_url: str, fleet_url: str, admin_url: str
) -> None:
    opened: list[Connection] = []
    try:
        opened += [psycopg.connect(plain(eve_url)) for _ in range(CONNECTIONS)]
        with pytest.raises(psycopg.OperationalError, match="too many connections for role"):
            psycopg.connect(plain(eve_url))
        psycopg.connect(plain(fleet_url)).close()
    finally:
        for connection in opened:
            connection.close()
    with psycopg.connect(plain(admin_url)) as admin:
        assert int(admin.execute("SHOW reserved_connections").fetchone()[0]) > 0  # type: ignore[index]
        reserved = "SELECT pg_has_role(%s, 'pg_use_reserved_connections', 'USAGE')"
        assert [admin.execute(reserved, (name,)).fetchone() for name in ("fleet", "eve")] == [(True,), (False,)]


def test_a_submitters_session_begins_with_limits(eve: Connection) -> None:
    names = ("lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout")
    shown = [eve.execute(f"SHOW {name}").fetchone() for name in names]  # type: ignore[arg-type]
    assert shown == [("10s",), ("1min",), ("15min",)]


def test_a_login_that_becomes_a_submitters_is_no_workers_any_more(admin_url: str, login: Callable[..., str]) -> None:
    login("mole", "redraft_worker")
    ensure_login(admin_url, "mole", "secret", "redraft_submitter")
    with psycopg.connect(plain(admin_url)) as admin:
        row = admin.execute(
            """SELECT rolbypassrls, rolconnlimit, pg_has_role('mole', 'redraft_worker', 'MEMBER'),
                      pg_has_role('mole', 'redraft_submitter', 'MEMBER') FROM pg_roles WHERE rolname = 'mole'"""
        ).fetchone()
    assert row == (False, CONNECTIONS, False, True)
