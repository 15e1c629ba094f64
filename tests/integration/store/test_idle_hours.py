"""A job's hours stand still while it waits for a day, a person or a resume, and once only."""

from __future__ import annotations

import pytest

from tasks.errors import CloudWaits
from tasks.outcomes import settle
from tasks.policy import hours_used
from tasks.store import lifecycle, queries
from tasks.store.job_loader import load_job
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.types import (
    Ask,
    Changes,
    JobState,
    Lane,
)
from tests.integration.store.spending import (
    pass_hours,
    submit,
    take,
    value,
)

pytestmark = pytest.mark.integration


def wait_for_six_hours(fleet: Database, ledger: PostgresLedger) -> None:
    ledger.wait(take(fleet), Lane.GPU, "the day is over", seconds=6 * 3600, idle=True)


def worked(fleet: Database, job: int) -> float:
    """Hours that count, as the three places say that tell of them."""
    loaded, summary = load_job(fleet, job), queries.job_summary(fleet, job)
    assert summary.started_at is not None
    shown = (((summary.finished_at or summary.now) - summary.started_at).total_seconds() - summary.idle_seconds) / 3600
    assert hours_used(loaded) == pytest.approx(shown, abs=0.02)
    return shown


def test_a_wait_for_the_next_day_that_a_pause_cuts_short_stands_still_once(user: Database, fleet: Database) -> None:
    (job,) = submit(user)
    ledger = PostgresLedger(fleet, fault_cap=3)
    wait_for_six_hours(fleet, ledger)
    pass_hours(fleet, 1)
    assert worked(fleet, job) == pytest.approx(0, abs=0.02)
    lifecycle.request_pause(user, job)
    pass_hours(fleet, 2)
    assert worked(fleet, job) == pytest.approx(0, abs=0.02)
    lifecycle.resume(user, job)
    assert worked(fleet, job) == pytest.approx(0, abs=0.02)
    pass_hours(fleet, 0.5)  # in the queue, where it looks at once whether it still has to wait
    wait_for_six_hours(fleet, ledger)
    pass_hours(fleet, 7)  # of which it is in the queue for one
    claim = take(fleet)
    assert worked(fleet, job) == pytest.approx(1.5, abs=0.02)
    assert hours_used(ledger.load(claim)) == pytest.approx(1.5, abs=0.02)
    assert value(fleet, "SELECT idle_seconds FROM jobs") == pytest.approx(9 * 3600, abs=60)


def test_a_wait_for_the_next_day_that_a_cancel_cuts_short_stands_still_once(user: Database, fleet: Database) -> None:
    (job,) = submit(user)
    wait_for_six_hours(fleet, PostgresLedger(fleet, fault_cap=3))
    pass_hours(fleet, 1)
    lifecycle.request_cancel(user, job)
    assert worked(fleet, job) == pytest.approx(0, abs=0.02)
    pass_hours(fleet, 2)
    lifecycle.retry(user, job, Changes())
    take(fleet)
    assert worked(fleet, job) == pytest.approx(0, abs=0.02)
    assert value(fleet, "SELECT idle_seconds FROM jobs") == pytest.approx(3 * 3600, abs=60)


def test_a_pause_that_was_asked_for_before_the_wait_stands_still_once(user: Database, fleet: Database) -> None:
    (job,) = submit(user)
    claim, ledger = take(fleet), PostgresLedger(fleet, fault_cap=3)
    lifecycle.request_pause(user, job)
    ledger.wait(claim, Lane.GPU, "the day is over", seconds=6 * 3600, idle=True)
    pass_hours(fleet, 2)
    assert queries.job_summary(user, job).state is JobState.PAUSED
    lifecycle.resume(user, job)
    assert worked(fleet, job) == pytest.approx(0, abs=0.02)
    assert value(fleet, "SELECT idle_seconds FROM jobs") == pytest.approx(2 * 3600, abs=60)


def test_a_wait_for_the_cloud_counts_but_for_its_pause(user: Database, fleet: Database) -> None:
    (job,) = submit(user)
    ledger = PostgresLedger(fleet, fault_cap=3)
    settle(ledger, take(fleet), Lane.GPU, CloudWaits(6 * 3600, "429"))
    pass_hours(fleet, 1)
    lifecycle.request_pause(user, job)
    pass_hours(fleet, 2)
    lifecycle.resume(user, job)
    pass_hours(fleet, 1)
    assert worked(fleet, job) == pytest.approx(2, abs=0.02)


def test_a_job_that_needs_input_and_is_cancelled_and_retried_stands_still_once(user: Database, fleet: Database) -> None:
    (job,) = submit(user, ask=True)
    claim, ledger = take(fleet), PostgresLedger(fleet, fault_cap=3)
    ledger.load(claim)
    ledger.begin(claim, 1, Ask(why="stuck"), ())
    ledger.ask(claim, 1, "Which one?", hours=24)
    pass_hours(fleet, 2)
    assert lifecycle.request_pause(user, job) is JobState.NEEDS_INPUT
    assert worked(fleet, job) == pytest.approx(0, abs=0.02)
    lifecycle.request_cancel(user, job)
    pass_hours(fleet, 1)
    lifecycle.retry(user, job, Changes())
    take(fleet)
    assert worked(fleet, job) == pytest.approx(0, abs=0.02)
    assert value(fleet, "SELECT idle_seconds FROM jobs") == pytest.approx(3 * 3600, abs=60)


def test_a_budget_of_hours_is_edited_by_those_that_count_while_a_job_waits(user: Database, fleet: Database) -> None:
    (job,) = submit(user)
    wait_for_six_hours(fleet, PostgresLedger(fleet, fault_cap=3))
    pass_hours(fleet, 3)
    lifecycle.edit(user, job, Changes(hours=1.0))  # three have passed, and none counts
    assert value(fleet, "SELECT budget_hours FROM jobs") == 1.0
