"""Trying a finished job again on a real Postgres: from where it stood, with what is left of its budget."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from tasks.errors import InvalidInput, NoSuchJob
from tasks.store import lifecycle
from tasks.store.invariants import breaches
from tasks.store.job_loader import load_job
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.types import (
    Budget,
    Changes,
    JobState,
    Stop,
    StopCode,
)
from tests.integration.store.lifecycle.histories import (
    SPENT,
    WON,
    change,
    held,
    put,
    run,
    value,
)

pytestmark = pytest.mark.integration


def test_nobody_retries_forks_or_reads_what_is_anothers(
    user: Database, fleet: Database, ledger: PostgresLedger, login: Callable[..., str]
) -> None:
    job = put(user)
    run(fleet, ledger, [(0.5,)], Stop(code=StopCode.DEFECT, detail="a fault"))
    with Database(login("eve")) as eve:
        with pytest.raises(NoSuchJob):
            lifecycle.retry(eve, job, Changes())
        with pytest.raises(NoSuchJob):
            lifecycle.fork(eve, job, 1, Changes())
        with pytest.raises(NoSuchJob):
            load_job(eve, job)
    assert value(fleet, job, "state") == "failed"
    assert value(fleet, job, "(SELECT count(*) FROM jobs)") == 1


@pytest.mark.parametrize("code", [StopCode.DEFECT, StopCode.CRASHES, StopCode.CANCELLED, StopCode.GAVE_UP])
def test_a_finished_job_is_tried_again_from_where_it_stood(
    user: Database, fleet: Database, ledger: PostgresLedger, code: StopCode
) -> None:
    job = put(user)
    run(fleet, ledger, [(0.5,)])
    change(fleet, "UPDATE jobs SET crashes = 2, faults = 2")
    ledger.stop(held(fleet), Stop(code=code, used=1, limit=2, needed=3, detail="why"))
    assert value(fleet, job, "(state, stop_code, stop_used, stop_limit, stop_needed, stop_detail)::text") == (
        f"({code.state},{code},1,2,3,why)"
    )
    change(fleet, "UPDATE jobs SET cancel_requested_at = now()")
    assert lifecycle.retry(user, job, Changes()) is JobState.QUEUED
    nulls = "num_nulls(cancel_requested_at, finished_at, stop_code, stop_used, stop_limit, stop_needed)"
    assert (value(fleet, job, nulls), value(fleet, job, "retries"), value(fleet, job, "stop_detail")) == (6, 1, "")
    assert (value(fleet, job, "reason"), value(fleet, job, "crashes + faults")) == ("", 0)
    again = ledger.load(held(fleet))
    assert len(again.history) == 1
    assert again.open is not None  # the move that was decided before it ended
    assert again.open.number == 2
    assert breaches(fleet) == ()


def test_an_accepted_or_unfinished_job_is_not_tried_again(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    with pytest.raises(InvalidInput, match="it is queued, and only a finished job"):
        lifecycle.retry(user, job, Changes())
    run(fleet, ledger, [(1.0,)], WON)
    with pytest.raises(InvalidInput, match="it was accepted"):
        lifecycle.retry(user, job, Changes())
    assert value(fleet, job, "state") == "accepted"


def test_a_spent_budget_is_named_with_what_to_type(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user, budget=Budget(iterations=2, tokens=1000))
    run(fleet, ledger, [(0.5,), (0.5,)], SPENT)
    with pytest.raises(InvalidInput) as refused:
        lifecycle.retry(user, job, Changes(tokens=5000))
    assert str(refused.value) == (
        f"budget: 'iterations=2' is not allowed; that is spent; give more: `redraft retry {job} --budget iterations=4`"
    )
    with pytest.raises(InvalidInput, match=r"budget.iterations: 1 is not allowed; at least the 2 that it has"):
        lifecycle.retry(user, job, Changes(iterations=1))
    assert value(fleet, job, "budget_tokens") == 1000  # a refusal changes nothing
    assert lifecycle.retry(user, job, Changes(iterations=3, usd=Decimal("2.50"))) is JobState.QUEUED
    assert job_summary(user, job).budget == Budget(iterations=3, tokens=1000, usd=Decimal("2.50"))
    assert ledger.load(held(fleet)).open is None  # the loop decides anew


@pytest.mark.parametrize(
    ("spent", "unit"),
    [
        ("UPDATE jobs SET started_at = now() - interval '5 h'", "hours=4"),
        ("UPDATE jobs SET started_at = now() - interval '10 h', idle_seconds = 18000", "hours=4"),
        ("UPDATE jobs SET local_tokens = budget_tokens", "tokens=2000000"),
        ("UPDATE jobs SET stop_code = 'budget_tokens', stop_needed = 9", "tokens=2000000"),
        ("UPDATE jobs SET stop_code = 'budget_usd'", "usd=2"),
    ],
)
def test_each_unit_of_the_budget_can_be_what_is_spent(
    user: Database, fleet: Database, ledger: PostgresLedger, spent: str, unit: str
) -> None:
    job = put(user)
    ledger.stop(held(fleet), Stop(code=StopCode.GAVE_UP))
    change(fleet, spent)
    with pytest.raises(InvalidInput, match=f"'{unit}' is not allowed; (that is spent|the next call does not fit); "):
        lifecycle.retry(user, job, Changes())
    name = unit.split("=", maxsplit=1)[0]
    more = {"hours": 8.0, "tokens": 4_000_000, "usd": Decimal(4)}[name]
    assert lifecycle.retry(user, job, Changes(**{name: more})) is JobState.QUEUED  # type: ignore[arg-type]


def test_idle_hours_are_not_spent(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user)
    ledger.stop(held(fleet), Stop(code=StopCode.DEFECT))
    change(fleet, "UPDATE jobs SET started_at = now() - interval '8 h', idle_seconds = 18000")
    assert lifecycle.retry(user, job, Changes()) is JobState.QUEUED
