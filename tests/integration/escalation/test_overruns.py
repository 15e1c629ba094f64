"""A call that costs more than was reserved for it: all of it is charged and told, no promise is bent for it, and
nothing more begins that a limit can't pay for."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from sqlalchemy import text

from tasks.errors import DailyReserved, LimitReached
from tasks.store import daily, dispatch
from tasks.store.bills import settle
from tasks.store.escalation_rows import escalation_rows
from tasks.store.escalations import PostgresEscalations
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import (
    BatchBudget,
    Budget,
    CallKey,
    ChatRequest,
    Claim,
    CloudPlan,
    Completion,
    Egress,
    EscalationState,
    JobSpec,
    Message,
    Operator,
    StopCode,
)
from tests.integration.escalation.cases import ALL, HIDDEN, PRICES, RIGHT, VISIBLE, put, rows, run
from tests.standin.responses import serving
from workers.cli.escalated import line

pytestmark = pytest.mark.integration
SPEC = JobSpec(title="t", problem="p", checks=(VISIBLE, HIDDEN), egress=Egress.FULL)


def take(fleet: Database, worker: str = "w") -> Claim:
    claim = dispatch.claim(fleet, ALL, worker, "turn", dispatch.ClaimRules(affinity_seconds=0))
    assert claim is not None
    return claim


def completion(tokens: int, usd: Decimal = Decimal(0)) -> Completion:
    return Completion(
        text="ANSWER: 7",
        finish_reason="stop",
        model="m",
        prompt_tokens=tokens - 1,
        cached_tokens=0,
        completion_tokens=1,
        seconds=0.1,
        usd=usd,
    )


def told(fleet: Database, kind: str = "reservation passed") -> list[str]:
    with fleet.connect() as connection:
        query = text("SELECT detail FROM events WHERE kind = :kind ORDER BY id")
        return list(connection.execute(query, {"kind": kind}).scalars())


def test_a_provider_that_bills_more_than_it_was_asked_for_is_paid_and_asked_no_more(
    user: Database, fleet: Database, admin_url: str
) -> None:
    """The hint may have 1,024 tokens; it says that it has 400,000, which are more than the job's dollars."""
    spec = dataclasses.replace(SPEC, problem="What is the secret?", budget=Budget(iterations=8, usd=Decimal(2)))
    pool = BatchBudget(usd=Decimal(2), tokens=10_000_000)
    job = submit_jobs(user, [spec], egress=Egress.FULL, pool=pool)[0].job
    with serving([dataclasses.replace(RIGHT, answer="Think of it anew.", output_tokens=400_000)]) as standin:
        run(fleet, standin.url, hints=1)
        assert standin.posts == 1
    hint, answer = rows(fleet, job)
    cost = 400_000 * PRICES.completion / 1_000_000
    assert (hint.state, answer.state) == ("done", "refused")
    assert hint.usd > cost > 2 > hint.reserved_usd
    assert "and 0.0000 of 2.00 are left" in answer.error
    summary = job_summary(user, job)
    assert summary.spend.usd == hint.usd, "no cent less than the provider says"
    (said,) = told(fleet)
    assert said.startswith(f"{hint.usd - hint.reserved_usd:.4f} USD and ")
    assert said.endswith(" cloud tokens more than was reserved; all is charged")
    shown = next(row for row in escalation_rows(user, job) if row.state == "done")
    assert "more than the $0." in line(shown)
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


def test_a_crowd_passes_the_day_by_what_was_in_flight_alone(
    user: Database, fleet: Database, login: Callable[..., str], admin_url: str
) -> None:
    """Each request costs twice what was reserved for it: the day ends at the first that finds it spent."""
    submit_jobs(user, [SPEC] * 10, egress=Egress.FULL)
    most, costs = Decimal("0.12"), Decimal("0.24")
    with Database(login("crowd", "redraft_worker"), pool=12) as crowd:
        daily.set_limits(crowd, daily.DEPLOYMENT, {"usd": Decimal("0.50")})

        def work(number: int) -> int:
            claim, ledger, iteration = take(crowd, f"w{number}"), PostgresEscalations(crowd), 1
            plan = CloudPlan(model="m", request="{}", usd=most, prompt_tokens=90, completion_tokens=10)
            while True:
                try:
                    record = ledger.intend(claim, iteration, plan)
                except DailyReserved:
                    time.sleep(0.01)
                    continue
                if record.state is EscalationState.REFUSED:
                    return iteration - 1
                ledger.identify(claim, iteration, f"resp_{number}_{iteration}")
                time.sleep(0.02)
                ledger.settle(claim, iteration, EscalationState.DONE, completion(300, costs))
                iteration += 1

        with ThreadPoolExecutor(10) as pool:
            sent = sum(pool.map(work, range(10)))
        assert 2 <= sent <= 4, "what fits at once by its reservations, and nothing after"
        with crowd.connect() as connection:
            charged, over = connection.execute(text("SELECT sum(spent_usd), sum(over_usd) FROM jobs")).one()
        assert (charged, over) == (sent * costs, sent * (costs - most))
        assert charged - over <= Decimal("0.50")
        (limit,) = daily.read_limits(crowd)
        assert limit.used == charged
    assert len(told(fleet)) == sent
    with Database(admin_url) as admin:
        assert breaches(admin) == ()


def test_a_local_call_that_brings_more_tokens_than_were_reserved_ends_its_job(
    user: Database, fleet: Database, admin_url: str
) -> None:
    budget = Budget(tokens=60, local_tokens=60)
    (one,) = submit_jobs(user, [dataclasses.replace(SPEC, budget=budget)], egress=Egress.FULL)
    claim, ledger = take(fleet), PostgresLedger(fleet, fault_cap=3)
    first, second = (CallKey(iteration=1, operator=Operator.DRAFT, slot=slot, attempt=1) for slot in (0, 1))
    ledger.reserve(claim, first, 50)
    request = ChatRequest(messages=(Message(role="user", content="?"),))
    ledger.commit_call(claim, first, request, "h", completion(80))
    assert told(fleet) == ["30 local tokens more than was reserved; all is charged"]
    with pytest.raises(LimitReached) as limit:
        ledger.reserve(claim, second, 1)
    assert (limit.value.code, limit.value.value) == (StopCode.BUDGET_TOKENS, 80)
    assert job_summary(user, one.job).spend.local_tokens == 80
    with Database(admin_url) as admin:
        assert breaches(admin) == ()


def test_a_bill_above_the_reservation_is_charged_too(user: Database, fleet: Database, admin_url: str) -> None:
    job = put(user, budget=Budget(iterations=4, usd=Decimal("0.50")))
    with serving([dataclasses.replace(RIGHT, fault="drop_before_created")]) as standin:
        run(fleet, standin.url)
    (lost,) = escalation_rows(user, job)
    bill = settle(fleet, job, lost.iteration, usd=Decimal("0.75"), tokens=lost.tokens + 5)
    assert job_summary(user, job).spend.usd == bill.usd == Decimal("0.75")
    assert told(fleet) == [
        f"{bill.usd - bill.before:.4f} USD and 5 cloud tokens more than was reserved; all is charged"
    ]
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()
