"""The limits of a day: no crowd passes them, a job that meets one waits and says why, and each warning comes once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from tasks.errors import DailyLimitReached, DailyReserved, InvalidInput, LimitReached
from tasks.outcomes import settle
from tasks.store import budgets, daily, dispatch, lifecycle, queries, reaping
from tasks.store.escalations import PostgresEscalations
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.types import (
    Budget,
    Changes,
    EscalationState,
    JobState,
    Lane,
    Stop,
    StopCode,
)
from tests.integration.store.spending import (
    REQUEST,
    RULES,
    change,
    completion,
    events,
    key,
    plan,
    submit,
    take,
    value,
    work,
)

pytestmark = pytest.mark.integration


def test_ten_jobs_with_half_a_dollar_for_the_day_never_send_more_than_it_pays_for(
    user: Database, login: Callable[..., str]
) -> None:
    """Each of ten jobs asks the cloud again and again, at most 12 cents each time; the count is of what was sent."""
    submit(user, 10)
    sent: list[Decimal] = []
    with Database(login("fleet", "redraft_worker"), pool=12) as fleet:
        daily.set_limits(fleet, daily.DEPLOYMENT, {"usd": Decimal("0.50")})

        def work(number: int) -> None:
            chance, claim, ledger = random.Random(number), take(fleet, f"w{number}"), PostgresEscalations(fleet)
            iteration = 1
            while True:  # until it is refused, for then no more fits
                try:
                    record = ledger.intend(claim, iteration, plan("0.12"))
                except DailyReserved:
                    time.sleep(0.01)
                    continue
                if record.state is EscalationState.REFUSED:
                    return
                cost = Decimal(chance.randint(1, 12)) / 100
                sent.append(cost)
                ledger.settle(claim, iteration, EscalationState.DONE, completion(50, cost))
                iteration += 1

        with ThreadPoolExecutor(10) as pool:
            list(pool.map(work, range(10)))
        assert Decimal("0.38") < sum(sent) <= Decimal("0.50")
        assert value(fleet, "SELECT sum(spent_usd) FROM jobs") == sum(sent)
        refused = value(fleet, "SELECT error FROM escalations WHERE state = 'refused' ORDER BY id DESC LIMIT 1")
        assert refused.startswith("the deployment has used 0.")
        assert "of 0.5000 USD of today (UTC), and the next call may take 0.1200 USD" in refused
        warned = events(fleet, "budget warning")
        for percent in (50, 80) if sum(sent) >= Decimal("0.40") else (50,):
            assert len([one for one in warned if one.startswith(f"{percent} % of the deployment's limit")]) == 1
        (limit,) = daily.read_limits(fleet)
        assert (limit.owner, limit.unit, limit.used, limit.held) == ("", "usd", sum(sent), 0)


def test_two_owners_share_the_day_of_a_deployment_and_each_has_one_of_its_own(
    user: Database, login: Callable[..., str]
) -> None:
    """Threads reserve local tokens, spend a part, or die with them, while another looks at every moment."""
    crowd, each, whole = 6, 1_200, 2_000
    submit(user, 6)
    with Database(login("bob")) as bob:
        submit(bob, 6)
    stop, highest = threading.Event(), list[tuple[int, int]]()
    with Database(login("fleet", "redraft_worker"), pool=crowd + 2, lock_seconds=10) as fleet:
        daily.set_limits(fleet, daily.EACH_OWNER, {"local_tokens": each})
        daily.set_limits(fleet, daily.DEPLOYMENT, {"local_tokens": whole})

        def used() -> int:
            return int(value(fleet, "SELECT coalesce(sum(local_tokens), 0) FROM owner_usage"))

        def work(number: int) -> None:
            chance, ledger = random.Random(number), PostgresLedger(fleet, fault_cap=3)
            for step in range(1_000):  # a claim that finds every row locked takes a step, too
                claim = dispatch.claim(fleet, [Lane.GPU], f"w{number}", "turn", RULES)
                if claim is None:
                    continue
                at, most = key(slot=1000 * number + step), chance.randint(20, 120)
                try:
                    ledger.reserve(claim, at, most)
                except (DailyReserved, DailyLimitReached):
                    ledger.hand_over(claim, Lane.GPU)
                    if used() > whole - 120:
                        break
                    continue
                if chance.random() < 0.1:  # it dies
                    expired = (
                        "UPDATE leases SET lease_until = now() - interval '1 s' WHERE job_id = :job AND epoch = :e"
                    )
                    change(fleet, expired, job=claim.job, e=claim.epoch)
                    reaping.reap(fleet, crash_cap=1000)
                    continue
                ledger.commit_call(claim, at, REQUEST, "h", completion(chance.randint(2, most)))
                ledger.hand_over(claim, Lane.GPU)

        def watch() -> None:
            while not stop.wait(0.01):
                with fleet.connect() as connection:
                    owner, deployment = budgets.today(connection, "alice")
                highest.append(
                    (
                        owner.used_local_tokens + owner.held_local_tokens,
                        deployment.used_local_tokens + deployment.held_local_tokens,
                    )
                )

        watching = threading.Thread(target=watch)
        watching.start()
        with ThreadPoolExecutor(crowd) as pool:
            list(pool.map(work, range(crowd)))
        stop.set()
        watching.join()
        assert max(one for one, _ in highest) <= each
        assert max(both for _, both in highest) <= whole
        assert used() > whole - 120
        assert value(fleet, "SELECT max(sum) FROM (SELECT sum(local_tokens) FROM owner_usage GROUP BY owner) o") <= each
        assert breaches(fleet) == ()


def test_a_local_limit_makes_a_job_wait_for_the_next_day_and_a_larger_one_lets_it_go_on(
    user: Database, fleet: Database
) -> None:
    (job,) = submit(user, budget=Budget(hours=0.5))
    daily.set_limits(fleet, "alice", {"local_tokens": 100})
    claim, ledger = take(fleet), PostgresLedger(fleet, fault_cap=3)
    ledger.load(claim)
    ledger.reserve(claim, key(0), 90)
    with pytest.raises(DailyReserved, match=r"has used 0 local tokens of 100 local tokens .* calls in flight hold 90"):
        ledger.reserve(claim, key(1), 50)
    ledger.commit_call(claim, key(0), REQUEST, "h", completion(80))
    with pytest.raises(DailyLimitReached) as limit:
        ledger.reserve(claim, key(1), 50)
    settle(ledger, claim, Lane.GPU, limit.value)
    summary = queries.job_summary(user, job)
    assert summary.waits_for == (
        "owner alice has used 80 local tokens of 100 local tokens of today (UTC), and the next call may take 50 local "
        "tokens"
    )
    assert summary.stop_code is None
    assert abs(summary.idle_seconds) < 5, "its hours stand still, and no more than that"
    assert dispatch.claim(fleet, [Lane.GPU], "w", "turn", RULES) is None
    left = value(
        fleet, "SELECT extract(epoch FROM run_at - date_trunc('day', now(), 'UTC') - interval '24 hours') FROM leases"
    )
    assert abs(left) < 60
    daily.set_limits(fleet, "alice", {"local_tokens": 10_000})
    assert queries.job_summary(user, job).waits_for == ""
    again = take(fleet)
    assert ledger.load(again).idle_seconds < 60
    ledger.reserve(again, key(1), 50)


def test_a_cloud_limit_keeps_a_job_from_the_cloud_and_not_from_local_work(user: Database, fleet: Database) -> None:
    submit(user)
    claim, cloud, ledger = take(fleet), PostgresEscalations(fleet), PostgresLedger(fleet, fault_cap=3)
    with fleet.connect() as connection:
        assert budgets.cloud_is_open(connection, "alice")
    daily.set_limits(fleet, "*", {"usd": Decimal("0.10"), "cloud_tokens": 1000})
    assert cloud.intend(claim, 1, plan("0.06")).state is EscalationState.INTENT
    cloud.settle(claim, 1, EscalationState.FAILED, completion(20, Decimal("0.05")))
    with fleet.connect() as connection:
        assert not budgets.cloud_is_open(connection, "alice"), "0.05 are left, and the last request reserved 0.06"
        assert budgets.cloud_is_open(connection, "bob")
    assert cloud.intend(claim, 2, plan("0.06")).state is EscalationState.REFUSED
    ledger.reserve(claim, key(), 50)
    assert "escalation refused" in value(fleet, "SELECT string_agg(kind, ',') FROM events")


def test_yesterday_does_not_count(user: Database, fleet: Database) -> None:
    submit(user)
    daily.set_limits(fleet, "alice", {"local_tokens": 100})
    change(
        fleet,
        """INSERT INTO owner_usage (owner, hour, engine_seconds, local_tokens)
           VALUES ('alice', date_trunc('day', now(), 'UTC') - interval '1 hour', 5, 99),
                  ('alice', date_trunc('day', now(), 'UTC'), 5, 60)""",
    )
    ledger, claim = PostgresLedger(fleet, fault_cap=3), take(fleet)
    with pytest.raises(DailyLimitReached):
        ledger.reserve(claim, key(), 41)
    ledger.reserve(claim, key(), 40)


def test_a_limit_of_an_owners_own_goes_before_that_of_each_unit_by_unit(user: Database, fleet: Database) -> None:
    daily.set_limits(fleet, "*", {"local_tokens": 100, "usd": Decimal(1)})
    daily.set_limits(fleet, "alice", {"local_tokens": 500})
    found = {(one.owner, one.unit): one.limit for one in daily.read_limits(user)}
    assert found == {("alice", "local_tokens"): 500, ("alice", "usd"): Decimal(1)}
    daily.set_limits(fleet, "alice", {"local_tokens": None})
    assert value(fleet, "SELECT count(*) FROM daily_limits") == 1


def test_an_owner_can_not_set_a_limit_nor_see_anothers(user: Database, login: Callable[..., str]) -> None:
    with Database(login("fleet", "redraft_worker")) as fleet:
        daily.set_limits(fleet, "bob", {"usd": Decimal(1)})
    assert daily.read_limits(user) == ()
    with pytest.raises(Exception, match="permission denied"):
        daily.set_limits(user, "alice", {"usd": Decimal(100)})


def test_a_jobs_local_and_cloud_tokens_have_limits_of_their_own(user: Database, fleet: Database) -> None:
    (job,) = submit(user, budget=Budget(local_tokens=100, cloud_tokens=50))
    claim, ledger = take(fleet), PostgresLedger(fleet, fault_cap=3)
    assert PostgresEscalations(fleet).intend(claim, 1, plan("0.01", tokens=51)).state is EscalationState.REFUSED
    assert PostgresEscalations(fleet).intend(claim, 2, plan("0.01", tokens=50)).state is EscalationState.INTENT
    ledger.reserve(claim, key(0), 60)
    with pytest.raises(LimitReached) as limit:
        ledger.reserve(claim, key(1), 41)
    assert limit.value.code is StopCode.BUDGET_LOCAL_TOKENS
    ledger.stop(claim, Stop(code=limit.value.code, used=60, limit=100, needed=41))
    assert "41 local tokens and 40 of 100 are left" in queries.job_summary(user, job).reason
    with pytest.raises(InvalidInput, match="its budget of local_tokens is spent, and is set at submission alone"):
        lifecycle.retry(user, job, Changes())


def test_engine_time_is_given_to_calls_in_parts_which_together_are_no_more_than_the_limit(
    user: Database, fleet: Database
) -> None:
    submit(user, budget=Budget(gpu_seconds=100.0))
    claim, ledger = take(fleet), PostgresLedger(fleet, fault_cap=3)
    given = [ledger.reserve(claim, key(slot), 10).seconds for slot in range(4)]
    assert given == [30.0, 30.0, 30.0, 10.0]
    with pytest.raises(LimitReached) as limit:
        ledger.reserve(claim, key(9), 10)
    assert limit.value.code is StopCode.BUDGET_GPU_SECONDS
    for slot in range(4):
        ledger.commit_call(claim, key(slot), REQUEST, "h", completion(10, seconds=5.0))
    assert ledger.reserve(claim, key(9), 10).seconds == 30.0


def test_a_job_is_warned_once_at_half_and_once_at_four_fifths(user: Database, fleet: Database) -> None:
    submit(user, budget=Budget(tokens=1000))
    claim, ledger = take(fleet), PostgresLedger(fleet, fault_cap=3)
    for slot in range(9):
        ledger.reserve(claim, key(slot), 100)
        ledger.commit_call(claim, key(slot), REQUEST, "h", completion(100))
    assert events(fleet, "budget warning") == [
        "50 % of the job's budget: tokens 500 of 1,000 used",
        "80 % of the job's budget: tokens 800 of 1,000 used",
    ]


def test_a_whole_job_works_until_its_owners_day_is_over_and_ends_as_it_would_have_on_the_next(
    user: Database, fleet: Database
) -> None:
    (job,) = submit(user, budget=Budget(iterations=4))
    daily.set_limits(fleet, "alice", {"local_tokens": 250})
    ledger = PostgresLedger(fleet, fault_cap=3)
    work(fleet, ledger)
    waiting = queries.job_summary(user, job)
    assert waiting.state is JobState.RUNNING
    assert "of 250 local tokens of today (UTC)" in waiting.waits_for
    assert 0 < waiting.spend.local_tokens <= 250
    daily.set_limits(fleet, "alice", {"local_tokens": None})
    work(fleet, ledger)
    ended = queries.job_summary(user, job)
    assert (ended.state, ended.answer) == (JobState.ACCEPTED, "then it is\nANSWER: 42")
    assert len(events(fleet, "waits")) == 1
    assert breaches(fleet, submitted=[job], drained=True) == ()
