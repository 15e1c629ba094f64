"""The hours and the iterations of a day: in which workers hold jobs, and which jobs begin."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.errors import DailyLimitReached, DailyReserved
from tasks.outcomes import settle
from tasks.store import budgets, daily, dispatch, queries, reaping
from tasks.store.escalations import PostgresEscalations
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.types import (
    Budget,
    Claim,
    Draft,
    JobState,
    Lane,
)
from tests.integration.store.spending import (
    REQUEST,
    RULES,
    change,
    completion,
    events,
    key,
    pass_hours,
    plan,
    submit,
    take,
    value,
    work,
)

pytestmark = pytest.mark.integration


def hold_since(fleet: Database, job: int, minutes: float) -> None:
    """Its worker has held the job for so long."""
    change(
        fleet,
        "UPDATE leases SET held_since = now() - make_interval(secs => 60 * :m) WHERE job_id = :job",
        m=minutes,
        job=job,
    )


def used(fleet: Database, unit: str, owner: str = "alice") -> float:
    (found,) = [one for one in daily.read_limits(fleet) if (one.owner, one.unit) == (owner, unit)]
    return float(found.used)


def test_a_job_whose_owner_has_had_the_iterations_of_the_day_goes_on_with_more_of_them(
    user: Database, fleet: Database
) -> None:
    (job,) = submit(user, budget=Budget(iterations=4))
    daily.set_limits(fleet, "alice", {"iterations": 1})
    ledger = PostgresLedger(fleet, fault_cap=3)
    work(fleet, ledger)
    waiting = queries.job_summary(user, job)
    assert (waiting.state, waiting.iterations) == (JobState.RUNNING, 1)
    assert waiting.waits_for == "owner alice has used 1 iterations of 1 iterations of today (UTC)"
    assert abs(waiting.idle_seconds) < 5, "its hours stand still, and no more than that"
    assert events(fleet, "waits") == [waiting.waits_for]
    assert value(fleet, "SELECT count(*) FROM iterations WHERE finished_at IS NULL AND started_at IS NULL") == 1
    daily.set_limits(fleet, "alice", {"iterations": 4})
    work(fleet, ledger)
    ended = queries.job_summary(user, job)
    assert (ended.state, used(fleet, "iterations")) == (JobState.ACCEPTED, ended.iterations)
    assert breaches(fleet, submitted=[job], drained=True) == ()


def test_a_job_that_waits_for_the_next_day_goes_on_by_itself_on_it(user: Database, fleet: Database) -> None:
    (job,) = submit(user, budget=Budget(iterations=4, hours=48))
    daily.set_limits(fleet, "alice", {"iterations": 1})
    ledger = PostgresLedger(fleet, fault_cap=3)
    work(fleet, ledger)
    assert queries.job_summary(user, job).state is JobState.RUNNING
    pass_hours(fleet, 24)
    change(fleet, "UPDATE owner_usage SET hour = hour - interval '24 hours'")
    assert used(fleet, "iterations") == 0
    work(fleet, ledger)
    assert (queries.job_summary(user, job).iterations, used(fleet, "iterations")) == (2, 1)


def test_a_crowd_begins_no_more_iterations_than_the_day_has(user: Database, login: Callable[..., str]) -> None:
    submit(user, 8)
    with Database(login("fleet", "redraft_worker"), pool=9, lock_seconds=10) as fleet:
        daily.set_limits(fleet, daily.DEPLOYMENT, {"iterations": 5})

        def begin(number: int) -> bool:
            ledger, claim = PostgresLedger(fleet, fault_cap=3), take(fleet, f"w{number}")
            ledger.load(claim)
            try:
                ledger.begin(claim, 1, Draft(slots=1), ())
                ledger.begin(claim, 1, Draft(slots=1), ())  # again is harmless
            except DailyLimitReached as limit:
                settle(ledger, claim, Lane.GPU, limit)
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(begin, range(8))) == 5
        assert value(fleet, "SELECT count(*) FROM iterations") == 5
        assert used(fleet, "iterations", "") == 5


def test_the_hours_of_a_day_are_those_in_which_workers_hold_jobs(user: Database, fleet: Database) -> None:
    """Two jobs are held at once for half an hour; one is given back, and one loses its worker."""
    jobs = submit(user, 2)
    daily.set_limits(fleet, "alice", {"hours": 1.5})
    claims, ledger = [take(fleet, f"w{n}") for n in (1, 2)], PostgresLedger(fleet, fault_cap=3)
    for job in jobs:
        hold_since(fleet, job, 30)
    assert used(fleet, "hours") == pytest.approx(1.0, abs=0.01)
    ledger.hand_over(claims[0], Lane.GPU)
    change(fleet, "UPDATE leases SET lease_until = now() - interval '1 s' WHERE job_id = :job", job=claims[1].job)
    assert reaping.reap(fleet, crash_cap=9) == (claims[1].job,)
    assert used(fleet, "hours") == pytest.approx(1.0, abs=0.01)
    assert value(fleet, "SELECT sum(hours) FROM owner_usage") == pytest.approx(1.0, abs=0.01)
    claim = take(fleet)
    ledger.reserve(claim, key(), 10)
    ledger.commit_call(claim, key(), REQUEST, "h", completion(10))
    hold_since(fleet, claim.job, 31)
    with pytest.raises(DailyLimitReached, match=r"alice has used 1.52 hours of 1.50 hours of today") as limit:
        ledger.reserve(claim, key(1), 10)
    with pytest.raises(DailyLimitReached):  # nor does anything leave, and it is not given up
        PostgresEscalations(fleet).intend(claim, 1, plan("0.06"))
    assert value(fleet, "SELECT count(*) FROM escalations") == 0
    settle(ledger, claim, Lane.GPU, limit.value)
    assert "1.52 hours" in queries.job_summary(user, claim.job).waits_for
    with pytest.raises(DailyLimitReached):
        ledger.begin(take(fleet), 1, Draft(slots=1), ())


def test_calls_of_several_turns_have_the_hours_of_the_day_in_shares(user: Database, fleet: Database) -> None:
    submit(user, 3)
    daily.set_limits(fleet, "alice", {"hours": 50 / 3600})
    one, other, third = (take(fleet, f"w{n}") for n in range(3))
    ledger = PostgresLedger(fleet, fault_cap=3)
    assert ledger.reserve(one, key(0), 10).seconds == pytest.approx(30, abs=1)
    assert ledger.reserve(one, key(1), 10).seconds == pytest.approx(30, abs=1), "beside it, no more of the hours"
    assert ledger.reserve(other, key(0), 10).seconds == pytest.approx(20, abs=2)
    with pytest.raises(DailyReserved, match="and calls in flight hold the rest"):
        ledger.reserve(third, key(0), 10)
    with pytest.raises(DailyReserved):
        ledger.begin(third, 1, Draft(slots=1), ())
    for slot in (0, 1):
        ledger.commit_call(one, key(slot), REQUEST, "h", completion(10))
    assert ledger.reserve(third, key(0), 10).seconds == pytest.approx(28, abs=2)


def test_a_crowd_shares_the_hours_of_a_day(user: Database, login: Callable[..., str]) -> None:
    crowd, most = 6, 70.0
    submit(user, crowd)
    stop, highest = threading.Event(), list[float]()
    with Database(login("fleet", "redraft_worker"), pool=crowd + 2, lock_seconds=10) as fleet:
        daily.set_limits(fleet, daily.DEPLOYMENT, {"hours": most / 3600})

        def take_share(number: int) -> None:
            chance, ledger = random.Random(number), PostgresLedger(fleet, fault_cap=3)
            for step in range(40):
                claim = dispatch.claim(fleet, [Lane.GPU], f"w{number}", "turn", RULES)
                if claim is None:
                    continue
                at = key(slot=1000 * number + step)
                try:
                    ledger.reserve(claim, at, 10)
                except DailyReserved:
                    ledger.hand_over(claim, Lane.GPU)
                    continue
                time.sleep(chance.random() / 50)
                ledger.commit_call(claim, at, REQUEST, "h", completion(10))
                ledger.hand_over(claim, Lane.GPU)

        def watch() -> None:
            while not stop.wait(0.01):
                with fleet.connect() as connection:
                    (row,) = budgets.today(connection, "alice")
                highest.append(3600 * (row.used_hours + row.held_hours))

        watching = threading.Thread(target=watch)
        watching.start()
        with ThreadPoolExecutor(crowd) as pool:
            list(pool.map(take_share, range(crowd)))
        stop.set()
        watching.join()
    # A share is of 30 seconds, or the 10 that are left; what is beside the calls, some moments of each, is not cut.
    assert 60 < max(highest) < most + 8, "the shares fill it, and no more"


def test_hours_and_iterations_warn_once_at_half_and_at_four_fifths(user: Database, fleet: Database) -> None:
    (job, *_) = submit(user, 9)
    daily.set_limits(fleet, daily.DEPLOYMENT, {"iterations": 9, "hours": 1.0})
    ledger = PostgresLedger(fleet, fault_cap=3)
    for number in range(9):
        ledger.begin(take(fleet, f"w{number}"), 1, Draft(slots=1), ())
    hold_since(fleet, job, 50)
    (claim,) = [Claim(job=job, epoch=1, worker=value(fleet, "SELECT worker FROM leases WHERE job_id = 1"), turn="turn")]
    ledger.reserve(claim, key(), 10)
    ledger.commit_call(claim, key(), REQUEST, "h", completion(10))
    of = "of the deployment's limit of today (UTC)"
    assert events(fleet, "budget warning") == [
        f"50 % {of}: iterations 5 of 9 used",
        f"80 % {of}: iterations 8 of 9 used",
        f"50 % {of}: hours 0.83 of 1.0 used",
        f"80 % {of}: hours 0.83 of 1.0 used",
    ]
