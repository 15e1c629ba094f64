"""A job whose hours end while it is at the cloud: a response that has an id is settled, and nothing more is sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from tasks.errors import ShuttingDown
from tasks.heartbeat import SilentHeartbeat
from tasks.store.invariants import breaches
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.types import JobState, StopCode
from tests.integration.escalation.cases import ALL, RIGHT, loop, put, rows, until_escalation
from tests.loops import take
from tests.standin.responses import serving
from tests.turns import StoppedClock

pytestmark = pytest.mark.integration


class Until(SilentHeartbeat):
    """Lets a year pass on `clock`, or raises `stop`, as soon as `when` says so."""

    def __init__(self, when: Callable[[], bool], clock: StoppedClock, stop: Exception | None = None) -> None:
        self._when, self._clock, self._stop = when, clock, stop

    def check(self) -> None:
        if not self._when():
            return
        if self._stop is not None:
            raise self._stop
        self._clock.now += 365 * 24 * 3600


def test_a_running_response_is_cancelled_and_charged_when_the_hours_are_over(
    user: Database, fleet: Database, admin_url: str
) -> None:
    clock = StoppedClock()
    with serving([dataclasses.replace(RIGHT, fault="endless")]) as standin:
        job = put(user)
        until_escalation(fleet, standin.url)
        claim = take(fleet, *ALL)
        assert claim is not None
        late = Until(lambda: any(row.response_id for row in rows(fleet, job)), clock)
        loop(fleet, standin.url, clock=clock).turn(claim, ALL, late)
        assert (standin.posts, standin.cancels) == (1, 1)
    summary = job_summary(user, job)
    (record,) = rows(fleet, job)
    assert (summary.state, record.state, record.usd) == (JobState.UNSOLVED, "failed", record.reserved_usd)
    assert summary.stop_code is StopCode.BUDGET_HOURS
    assert summary.answer
    assert summary.spend.usd == record.usd
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


def test_an_answer_that_was_whole_by_the_end_of_the_hours_is_checked(user: Database, fleet: Database) -> None:
    """A worker left the response; the hours are over when another comes back to it."""
    clock = StoppedClock()
    with serving([dataclasses.replace(RIGHT, delay_seconds=0.05)]) as standin:
        job = put(user)
        until_escalation(fleet, standin.url)
        claim = take(fleet, *ALL)
        assert claim is not None
        with_id = Until(lambda: any(row.response_id for row in rows(fleet, job)), clock, ShuttingDown("drained"))
        loop(fleet, standin.url, clock=clock).turn(claim, ALL, with_id)
        assert rows(fleet, job)[0].state == "running"
        for response in standin.made.values():
            list(response.follow())  # to its end
        claim = take(fleet, *ALL)
        assert claim is not None
        loop(fleet, standin.url, clock=clock).turn(claim, ALL, Until(lambda: True, clock))
        assert standin.posts == 1
    assert rows(fleet, job)[0].state == "done"
    assert job_summary(user, job).state is JobState.ACCEPTED


def test_nothing_is_sent_once_the_hours_are_over(user: Database, fleet: Database, admin_url: str) -> None:
    clock = StoppedClock()
    with serving([RIGHT]) as standin:
        job = put(user)
        until_escalation(fleet, standin.url)
        claim = take(fleet, *ALL)
        assert claim is not None
        loop(fleet, standin.url, clock=clock).turn(claim, ALL, Until(lambda: True, clock))
        assert (standin.posts, standin.connections) == (0, 0)
    assert rows(fleet, job) == []
    assert job_summary(user, job).state is JobState.UNSOLVED
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()
