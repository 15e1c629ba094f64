"""The operator says what the provider's bill says of a request whose cost nobody knew."""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import pytest
from sqlalchemy import text

from tasks.errors import NoSuchEscalation, NotSettleable, OperatorNeeded
from tasks.store.batches import RESERVED
from tasks.store.bills import settle
from tasks.store.costs import CostBy, costs
from tasks.store.escalation_rows import escalation_rows
from tasks.store.invariants import breaches
from tasks.store.queries import batch_summary, job_history, job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import BatchBudget, Budget, Egress, JobSpec
from tests.integration.escalation.cases import HIDDEN, RIGHT, VISIBLE, events, run
from tests.standin.responses import serving

pytestmark = pytest.mark.integration
BILL = Decimal("0.01")


@pytest.fixture
def lost(user: Database, fleet: Database) -> tuple[int, int]:
    """A job of a batch, and the iteration of its escalation of which nobody knows what it cost."""
    spec = JobSpec(
        title="t",
        problem="What is the secret?",
        checks=(VISIBLE, HIDDEN),
        egress=Egress.FULL,
        budget=Budget(iterations=4),
    )
    job = submit_jobs(user, [spec], egress=Egress.FULL, pool=BatchBudget(usd=Decimal(2)))[0].job
    with serving([dataclasses.replace(RIGHT, fault="drop_before_created")]) as standin:
        run(fleet, standin.url)
    (row,) = escalation_rows(user, job)
    assert row.unsettled
    return job, row.iteration


def test_the_spend_of_job_batch_and_views_follows_the_bill(
    user: Database, fleet: Database, admin_url: str, lost: tuple[int, int]
) -> None:
    job, iteration = lost
    before, (row,) = job_summary(user, job), escalation_rows(user, job)
    bill = settle(fleet, job, iteration, usd=BILL, tokens=500, who="grace")
    assert (bill.before, bill.usd, bill.tokens) == (row.reserved_usd, BILL, 500)
    assert bill.by == "grace as fleet"
    after, (settled,) = job_summary(user, job), escalation_rows(user, job)
    assert (after.spend.usd, after.spend.cloud_tokens) == (BILL, 500)
    assert after.spend.local_tokens == before.spend.local_tokens
    assert (settled.usd, settled.charged_usd, settled.tokens) == (BILL, row.reserved_usd, 500)
    assert (settled.state, settled.settled_by, settled.settled_at) == ("unknown", bill.by, bill.at)
    assert after.batch is not None
    batch = batch_summary(user, after.batch)
    assert batch is not None
    assert batch.usd == BILL
    (asked,) = [i for i in job_history(user, job) if i.operator == "escalate"]
    assert asked.usd == BILL
    for by in (CostBy.JOB, CostBy.DAY, CostBy.BATCH):
        assert sum(cost.usd for cost in costs(user, by)) == BILL
    assert "escalation settled" in events(fleet, job)
    assert escalation_rows(user, unsettled=True) == ()
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()
        with admin.connect() as connection:
            held = connection.execute(text(RESERVED.format(batch=after.batch))).one()
    assert (held.tokens, held.usd) == (0, 0)


def test_it_can_be_said_once(user: Database, fleet: Database, lost: tuple[int, int]) -> None:
    job, iteration = lost
    settle(fleet, job, iteration, usd=BILL, who="grace")
    with pytest.raises(NotSettleable, match=r"grace as fleet settled it at \S+: 0\.0100 USD, [\d,]+ tokens"):
        settle(fleet, job, iteration, usd=Decimal(0))
    assert job_summary(user, job).spend.usd == BILL


def test_without_tokens_they_stay_as_reserved_and_none_where_it_cost_nothing(
    user: Database, fleet: Database, lost: tuple[int, int]
) -> None:
    job, iteration = lost
    assert settle(fleet, job, iteration, usd=Decimal(0)).tokens == 0
    assert job_summary(user, job).spend.cloud_tokens == 0


def test_only_what_nobody_knows_can_be_settled(user: Database, fleet: Database, lost: tuple[int, int]) -> None:
    job, iteration = lost
    with pytest.raises(NoSuchEscalation, match="redraft escalation ls"):
        settle(fleet, job, iteration + 1, usd=BILL)
    with pytest.raises(NoSuchEscalation):
        settle(fleet, job + 1, iteration, usd=BILL)
    with fleet.begin() as connection:
        connection.execute(text("UPDATE escalations SET state = 'failed'"))
    with pytest.raises(NotSettleable, match="it is failed, and its cost is known"):
        settle(fleet, job, iteration, usd=BILL)


def test_an_owner_may_not_settle_the_own_job(user: Database, lost: tuple[int, int]) -> None:
    job, iteration = lost
    spent = job_summary(user, job).spend.usd
    with pytest.raises(OperatorNeeded, match="operator"):
        settle(user, job, iteration, usd=Decimal(0))
    assert job_summary(user, job).spend.usd == spent
