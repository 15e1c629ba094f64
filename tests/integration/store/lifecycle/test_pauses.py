"""Pause and resume on a real Postgres: every transition, every owner, every race that has a name."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.errors import Cancelled, LeaseLost, NoSuchJob, Paused
from tasks.store import dispatch, lifecycle, reaping
from tasks.store.invariants import breaches
from tasks.store.job_loader import load_job
from tasks.store.lease_renewer import LeaseRenewer
from tasks.store.ledger import PostgresLedger
from tasks.store.lifecycle import request_cancel
from tasks.store.presence import WorkerRegistration
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.types import (
    Changes,
    Draft,
    JobState,
    Lane,
    Stop,
    StopCode,
)
from tests.background import running
from tests.integration.store.lifecycle.histories import (
    change,
    held,
    iterate,
    put,
    take,
    value,
)

pytestmark = pytest.mark.integration


def test_a_waiting_job_is_paused_at_once_and_nobody_may_claim_it(user: Database, fleet: Database) -> None:
    job = put(user)
    assert lifecycle.request_pause(user, job) is JobState.PAUSED
    assert lifecycle.request_pause(user, job) is JobState.PAUSED
    assert take(fleet) is None
    assert reaping.reap(fleet, crash_cap=3) == ()
    assert breaches(fleet) == ()
    assert lifecycle.resume(user, job) is JobState.QUEUED
    assert held(fleet).job == job


def test_a_held_job_is_paused_when_its_worker_gives_it_back(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    claim = held(fleet)
    assert lifecycle.request_pause(user, job) is JobState.RUNNING
    assert job_summary(user, job).pause_requested
    ledger.hand_over(claim, Lane.GPU)
    assert value(fleet, job, "state") == "paused"
    assert not job_summary(user, job).pause_requested
    assert take(fleet) is None
    assert breaches(fleet) == ()


def test_an_iteration_that_is_recorded_while_a_pause_is_asked_for_is_kept_and_parks_the_job(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    claim = held(fleet)
    ledger.begin(claim, 1, Draft(slots=1), ())
    lifecycle.request_pause(user, job)
    iterate(ledger, claim, 1, Draft(slots=2), 0.5)
    assert (value(fleet, job, "state"), value(fleet, job, "iterations"), take(fleet)) == ("paused", 1, None)


def test_a_job_that_ends_before_it_hears_the_pause_stays_ended(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    claim = held(fleet)
    lifecycle.request_pause(user, job)
    ledger.stop(claim, Stop(code=StopCode.CLOUD_REJECTED))
    assert lifecycle.request_pause(user, job) is JobState.UNSOLVED
    assert lifecycle.resume(user, job) is JobState.UNSOLVED
    assert value(fleet, job, "pause_requested_at") is None


def test_a_pause_that_is_withdrawn_leaves_the_job_to_its_worker(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    claim = held(fleet)
    lifecycle.request_pause(user, job)
    assert lifecycle.resume(user, job) is JobState.RUNNING
    ledger.hand_over(claim, Lane.GPU)
    assert held(fleet).job == job


def test_a_worker_that_dies_with_a_pause_asked_for_leaves_a_paused_job(user: Database, fleet: Database) -> None:
    job = put(user)
    held(fleet)
    lifecycle.request_pause(user, job)
    change(fleet, "UPDATE leases SET lease_until = now() - interval '1 s'")
    assert reaping.reap(fleet, crash_cap=3) == (job,)
    assert (value(fleet, job, "state"), take(fleet)) == ("paused", None)
    assert reaping.reap(fleet, crash_cap=3) == ()


def test_a_paused_job_can_be_cancelled_and_a_cancel_goes_before_a_pause(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    lifecycle.request_pause(user, job)
    assert request_cancel(user, job) is JobState.CANCELLED
    assert lifecycle.resume(user, job) is JobState.CANCELLED
    both = put(user)
    claim = held(fleet)
    lifecycle.request_pause(user, both)
    request_cancel(user, both)
    ledger.hand_over(claim, Lane.GPU)  # before the worker heard of either
    assert held(fleet).job == both  # and will hear of the cancel


def test_the_keeper_hears_a_pause_and_its_withdrawal(user: Database, fleet: Database, worker_url: str) -> None:
    job = put(user)
    card = WorkerRegistration(name="w", host="h", pid=1, lanes=("gpu",), slots=1, model="m", version="0")
    claim = dispatch.claim(fleet, [Lane.GPU], "w", "t", dispatch.ClaimRules(lease_seconds=1))
    assert claim is not None
    renewer = LeaseRenewer(worker_url, lambda: card, lease_seconds=1)
    heartbeat = renewer.hold(claim)

    def becomes(paused: bool) -> None:
        deadline = time.monotonic() + 10
        while heartbeat.paused is not paused and time.monotonic() < deadline:
            time.sleep(0.02)

    with running(renewer.run):
        lifecycle.request_pause(user, job)
        becomes(True)
        with pytest.raises(Paused):
            heartbeat.check()
        lifecycle.resume(user, job)
        becomes(False)
        heartbeat.check()
        lifecycle.request_pause(user, job)
        request_cancel(user, job)
        becomes(True)
        deadline = time.monotonic() + 10
        while not heartbeat.cancelled and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(Cancelled):
            heartbeat.check()


def test_hours_stand_still_while_a_job_is_paused_or_ended(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    ledger.hand_over(held(fleet), Lane.GPU)
    lifecycle.request_pause(user, job)
    change(fleet, "UPDATE jobs SET started_at = now() - interval '3 h', paused_at = now() - interval '2 h'")
    assert load_job(user, job).idle_seconds == pytest.approx(7200, abs=60)
    assert job_summary(user, job).idle_seconds == pytest.approx(7200, abs=60)
    lifecycle.resume(user, job)
    assert job_summary(user, job).idle_seconds == pytest.approx(7200, abs=60)
    ledger.stop(held(fleet), Stop(code=StopCode.MALFORMED, detail="a fault"))
    change(fleet, "UPDATE jobs SET finished_at = now() - interval '1 h'")
    assert load_job(user, job).idle_seconds == pytest.approx(10800, abs=60)
    lifecycle.retry(user, job, Changes())
    assert ledger.load(held(fleet)).idle_seconds == pytest.approx(10800, abs=60)


@pytest.mark.parametrize("verb", [lifecycle.request_pause, lifecycle.resume])
def test_nobody_pauses_or_resumes_what_is_anothers(
    user: Database, fleet: Database, login: Callable[..., str], verb: Callable[..., JobState]
) -> None:
    job = put(user)
    with Database(login("eve")) as eve:
        for number in (job, 999):
            with pytest.raises(NoSuchJob):
                verb(eve, number)
    assert value(fleet, job, "state") == "queued"


def test_pauses_claims_and_reaps_at_once_lose_nothing(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    mine = [put(user) for _ in range(3)]
    stop = threading.Event()

    def steer() -> None:
        for turn in range(60):
            (lifecycle.request_pause if turn % 2 else lifecycle.resume)(user, mine[turn % 3])

    def work() -> None:
        for turn in itertools.count():
            if stop.is_set():
                return
            claim = take(fleet)
            if claim is None:
                continue
            if turn % 3 == 0:
                change(fleet, f"UPDATE leases SET lease_until = now() - interval '1 s' WHERE job_id = {claim.job}")
            else:
                with contextlib.suppress(LeaseLost):
                    ledger.hand_over(claim, Lane.GPU)

    def reap() -> None:
        while not stop.is_set():
            reaping.reap(fleet, crash_cap=1_000)

    with ThreadPoolExecutor(5) as pool:
        steering = [pool.submit(steer) for _ in range(2)]
        others = [pool.submit(work), pool.submit(work), pool.submit(reap)]
        for done in steering:
            done.result()
        stop.set()
        for done in others:
            done.result()
    change(fleet, "UPDATE leases SET lease_until = now() - interval '1 s' WHERE worker IS NOT NULL")
    reaping.reap(fleet, crash_cap=1_000)
    assert breaches(fleet, submitted=mine) == ()
    change(fleet, "UPDATE jobs SET crashes = 0")  # else a worker takes such suspects one at a time
    for job in mine:
        lifecycle.request_pause(user, job)
    assert take(fleet) is None
    for job in mine:
        assert lifecycle.resume(user, job) is JobState.QUEUED
    assert {held(fleet).job for _ in mine} == set(mine)
