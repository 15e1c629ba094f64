"""An escalation that is cut short at any step is sent once, and charged honestly."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from tasks.errors import Cancelled, ShuttingDown
from tasks.heartbeat import SilentHeartbeat
from tasks.store.escalations import PostgresEscalations, abandon
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.lifecycle import request_cancel
from tasks.store.queries import job_egress, job_summary
from tasks.store.session import Database
from tasks.types import Budget, JobState
from tasks.waits import PATIENT
from tests.doubles import Death, Draining, Killed, Mortal
from tests.integration.escalation.cases import (
    ALL,
    RIGHT,
    events,
    loop,
    put,
    rows,
    run,
    until_escalation,
)
from tests.loops import outlive, take
from tests.standin.responses import StandIn, serving
from workers.home import free_port

pytestmark = pytest.mark.integration


class Stopping(SilentHeartbeat):
    """A heartbeat that raises `ended` once `when` says so."""

    def __init__(self, ended: Exception, when: Callable[[], bool]) -> None:
        self._ended, self._when = ended, when

    def check(self) -> None:
        if self._when():
            raise self._ended

    def checkpoint(self) -> None:
        self.check()


def test_a_crash_before_or_after_any_write_sends_at_most_one_request(
    user: Database, fleet: Database, admin_url: str
) -> None:
    unknown: list[tuple[str, bool]] = []
    with Database(admin_url) as admin:
        for after in (False, True):
            for fatal in itertools.count():
                with serving([RIGHT]) as standin:
                    death = Death(fatal, after=after)
                    _crash(user, fleet, standin, death)
                    assert standin.posts <= 1
                    assert breaches(admin, drained=True) == ()
                    job = max(row.job for row in _jobs(fleet))
                    (asked,) = rows(fleet, job)
                    state = job_summary(user, job).state
                    if asked.state == "unknown":
                        unknown.append((death.at, after))
                        assert (state, asked.usd) == (JobState.UNSOLVED, asked.reserved_usd)
                    else:
                        assert (asked.state, state, standin.posts) == ("done", JobState.ACCEPTED, 1)
                if not death.at:
                    break
    # Only between the intent and the id does nobody know what became of the request.
    assert unknown == [("identify", False), ("intend", True)]


def _crash(user: Database, fleet: Database, standin: StandIn, death: Death) -> None:
    """One job whose worker is killed at one write."""
    put(user, budget=Budget(iterations=3))
    while (claim := take(fleet, *ALL)) is not None:
        ledger = Mortal(PostgresLedger(fleet, fault_cap=8), death)
        asked = Mortal(PostgresEscalations(fleet), death)
        try:
            loop(fleet, standin.url, ledger=ledger, asked=asked, after=1).turn(claim, ALL, SilentHeartbeat())
        except Killed:
            outlive(fleet)


def _jobs(fleet: Database) -> list[Any]:
    with fleet.connect() as connection:
        return list(connection.execute(text("SELECT id AS job FROM jobs")))


def test_a_cloud_that_cannot_be_reached_is_tried_again_and_asked_once(user: Database, fleet: Database) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/v1"
    job = put(user)
    until_escalation(fleet, url)
    claim = take(fleet, *ALL)
    assert claim is not None
    loop(fleet, url).turn(claim, ALL, SilentHeartbeat())
    (asked,) = rows(fleet, job)
    assert (asked.state, asked.finished_at, asked.tries) == ("unsent", None, 1)
    assert "fault" not in events(fleet, job)
    with serving([RIGHT], port=port) as standin:
        run(fleet, url)
        assert standin.posts == 1
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert rows(fleet, job)[0].state == "done"


def test_a_cloud_that_stays_away_costs_nothing_and_the_job_goes_on_locally(
    user: Database, fleet: Database, admin_url: str
) -> None:
    job = put(user)
    run(fleet, f"http://127.0.0.1:{free_port()}/v1")
    summary = job_summary(user, job)
    assert (summary.state, summary.iterations, summary.spend.usd) == (JobState.UNSOLVED, 6, 0)
    (asked,) = rows(fleet, job)
    assert (asked.state, asked.usd) == ("unsent", 0)
    assert asked.finished_at is not None
    assert asked.tries == PATIENT.tries
    assert "fault" not in events(fleet, job)
    assert job_egress(user, job) == ()
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


def test_an_answer_that_cannot_be_fetched_is_given_up_at_its_full_price(
    user: Database, fleet: Database, admin_url: str
) -> None:
    job = put(user)
    with serving([RIGHT]) as standin:
        until_escalation(fleet, standin.url)
        claim = take(fleet, *ALL)
        assert claim is not None
        shutting = Stopping(
            ShuttingDown("drained"), lambda: bool(rows(fleet, job)[:1] and rows(fleet, job)[0].response_id)
        )
        with serving([dataclasses.replace(RIGHT, fault="endless")]) as slow:
            loop(fleet, slow.url).turn(claim, ALL, shutting)
            assert slow.posts == 1
    assert rows(fleet, job)[0].state == "running"
    run(fleet, f"http://127.0.0.1:{free_port()}/v1")
    (asked,) = rows(fleet, job)
    assert (asked.state, asked.usd) == ("unknown", asked.reserved_usd)
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


def test_a_worker_that_shuts_down_leaves_the_response_to_the_next_which_fetches_it(
    user: Database, fleet: Database
) -> None:
    with serving([dataclasses.replace(RIGHT, delay_seconds=0.05)]) as standin:
        job = put(user)
        until_escalation(fleet, standin.url)
        claim = take(fleet, *ALL)
        assert claim is not None
        shutting = Stopping(ShuttingDown("drained"), lambda: any(row.response_id for row in rows(fleet, job)))
        loop(fleet, standin.url).turn(claim, ALL, shutting)
        assert (rows(fleet, job)[0].state, standin.cancels) == ("running", 0)
        run(fleet, standin.url)
        assert standin.posts == 1
    assert job_summary(user, job).state is JobState.ACCEPTED


def test_a_worker_that_drains_asks_the_cloud_nothing_more(user: Database, fleet: Database) -> None:
    with serving([RIGHT]) as standin:
        job = put(user)
        until_escalation(fleet, standin.url)
        claim = take(fleet, *ALL)
        assert claim is not None
        loop(fleet, standin.url).turn(claim, ALL, Draining(0))
        assert (rows(fleet, job), standin.posts) == ([], 0)
        run(fleet, standin.url)
        assert standin.posts == 1
    assert job_summary(user, job).state is JobState.ACCEPTED


def test_a_cancelled_job_cancels_its_response_and_is_charged(user: Database, fleet: Database, admin_url: str) -> None:
    with serving([dataclasses.replace(RIGHT, fault="endless")]) as standin:
        job = put(user)
        until_escalation(fleet, standin.url)
        claim = take(fleet, *ALL)
        assert claim is not None
        cancelled = Stopping(Cancelled("by its owner"), lambda: any(row.response_id for row in rows(fleet, job)))
        loop(fleet, standin.url).turn(claim, ALL, cancelled)
        assert (standin.posts, standin.cancels) == (1, 1)
    summary = job_summary(user, job)
    (asked,) = rows(fleet, job)
    assert (summary.state, asked.state, asked.usd) == (JobState.CANCELLED, "failed", asked.reserved_usd)
    assert summary.spend.usd == asked.usd
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


def test_what_a_finished_job_has_left_open_is_charged_in_full(user: Database, fleet: Database, admin_url: str) -> None:
    with serving([dataclasses.replace(RIGHT, delay_seconds=0.05)]) as standin:
        job = put(user)
        until_escalation(fleet, standin.url)
        claim = take(fleet, *ALL)
        assert claim is not None
        shutting = Stopping(ShuttingDown("drained"), lambda: any(row.response_id for row in rows(fleet, job)))
        loop(fleet, standin.url).turn(claim, ALL, shutting)
        assert abandon(fleet) == ()
        assert request_cancel(user, job) is JobState.CANCELLED
        assert abandon(fleet) == (job,)
        assert abandon(fleet) == ()
    (asked,) = rows(fleet, job)
    assert (asked.state, asked.usd) == ("unknown", asked.reserved_usd)
    assert job_summary(user, job).spend.usd == asked.usd
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()
