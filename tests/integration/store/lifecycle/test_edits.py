"""Changing a job on a real Postgres: what may change in which state, what is recorded, and that a budget which was
raised too late for a decision still counts."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from tasks.errors import InvalidInput, NoSuchJob
from tasks.store import lifecycle
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import edits_of, job_summary
from tasks.store.session import Database
from tasks.types import Budget, Changes, Draft, JobState, Stop, StopCode
from tests.integration.store.lifecycle.histories import WON, change, held, iterate, put, run, value

pytestmark = pytest.mark.integration


def test_a_job_that_waits_is_changed_at_once_and_the_change_is_recorded(user: Database, fleet: Database) -> None:
    job = put(user)
    changes = Changes(iterations=60, usd=Decimal("1.5"), priority=7, tags=("night", "x"))
    assert lifecycle.edit(user, job, changes) is JobState.QUEUED
    summary = job_summary(user, job)
    assert summary.budget == Budget(iterations=60, usd=Decimal("1.5"))
    assert (summary.priority, summary.tags) == (7, ("night", "x"))
    assert value(fleet, job, "leases.priority") == 7
    [made] = edits_of(user, job)
    assert (made.by, made.iterations) == ("alice", 0)
    assert made.before == {"budget.iterations": 30, "budget.usd": 2, "priority": 0, "tags": ["x"]}
    assert made.after == {"budget.iterations": 60, "budget.usd": 1.5, "priority": 7, "tags": ["night", "x"]}
    assert breaches(fleet) == ()


@pytest.mark.parametrize("changes", [Changes(), Changes(iterations=30), Changes(tags=("x",))])
def test_a_change_that_changes_nothing_is_refused(user: Database, changes: Changes) -> None:
    job = put(user)
    with pytest.raises(InvalidInput, match="it has all of that already"):
        lifecycle.edit(user, job, changes)
    assert edits_of(user, job) == ()


def test_a_budget_is_made_smaller_down_to_what_is_used(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user)
    run(fleet, ledger, [(0.5,), (0.5,)])
    with pytest.raises(InvalidInput, match=r"budget\.iterations: 1 is not allowed; at least the 2 that"):
        lifecycle.edit(user, job, Changes(iterations=1))
    with pytest.raises(InvalidInput, match=r"budget\.tokens: 29 is not allowed; at least the 30 that"):
        lifecycle.edit(user, job, Changes(tokens=29))
    assert lifecycle.edit(user, job, Changes(iterations=2, tokens=30)) in (JobState.QUEUED, JobState.RUNNING)
    assert breaches(fleet) == ()


def test_an_unsolved_job_goes_on_with_a_larger_budget_and_changes_with_nothing_else(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, budget=Budget(iterations=2))
    run(fleet, ledger, [(0.5,), (0.5,)], Stop(code=StopCode.BUDGET_ITERATIONS, used=2, limit=2))
    with pytest.raises(InvalidInput, match=f"it is unsolved, .*`redraft edit {job} --budget iterations=4`"):
        lifecycle.edit(user, job, Changes(priority=3))
    with pytest.raises(InvalidInput, match=f"that is spent; give more: `redraft edit {job} --budget iterations=4`"):
        lifecycle.edit(user, job, Changes(iterations=2, priority=3))
    assert lifecycle.edit(user, job, Changes(iterations=5, priority=3)) is JobState.QUEUED
    assert (job_summary(user, job).budget.iterations, job_summary(user, job).priority) == (5, 3)
    assert breaches(fleet) == ()


def test_an_accepted_job_changes_no_more(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user)
    run(fleet, ledger, [(1.0,)], WON)
    with pytest.raises(InvalidInput, match="it was accepted, and nothing of it changes"):
        lifecycle.edit(user, job, Changes(iterations=90))


@pytest.mark.parametrize("state", ["cancelled", "quarantined", "failed"])
def test_a_job_that_ended_otherwise_is_retried_first(user: Database, fleet: Database, state: str) -> None:
    job = put(user)
    change(fleet, f"UPDATE jobs SET state = '{state}', finished_at = now()")
    with pytest.raises(InvalidInput, match=f"it is {state}, .*`redraft retry {job}`"):
        lifecycle.edit(user, job, Changes(iterations=90))


def test_nobody_changes_what_is_anothers(user: Database, login: Callable[..., str]) -> None:
    job = put(user)
    with Database(login("eve")) as eve:
        with pytest.raises(NoSuchJob):
            lifecycle.edit(eve, job, Changes(priority=100))
        assert edits_of(eve, job) == ()


def test_a_budget_that_was_raised_while_the_last_iteration_ran_counts(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, budget=Budget(iterations=1))
    claim = held(fleet)
    ledger.begin(claim, 1, Draft(slots=1), ())
    loaded = ledger.load(claim)
    lifecycle.edit(user, job, Changes(iterations=2))
    assert ledger.refresh(claim, loaded).spec.budget.iterations == 2
    # Decided on the old budget all the same: the end that it brought is none.
    iterate(ledger, claim, 1, Stop(code=StopCode.BUDGET_ITERATIONS, used=1, limit=1), 0.5)
    assert job_summary(user, job).state is JobState.QUEUED
    assert breaches(fleet) == ()
