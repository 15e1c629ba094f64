"""The limits of a day: no crowd passes them, a job that meets one waits and says why, and each warning comes once."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from tasks.errors import CloudWaits, DailyLimitReached, DailyReserved, InvalidInput, LimitReached
from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.outcomes import settle
from tasks.policy import hours_used
from tasks.store import budgets, daily, dispatch, lifecycle, queries, reaping
from tasks.store.escalations import PostgresEscalations
from tasks.store.invariants import breaches
from tasks.store.job_loader import load_job
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import (
    Ask,
    Budget,
    CallKey,
    Changes,
    ChatRequest,
    CheckSpec,
    Claim,
    CloudPlan,
    Completion,
    Draft,
    Egress,
    EscalationState,
    JobSpec,
    JobState,
    Lane,
    Message,
    Operator,
    Stop,
    StopCode,
)
from tests import loops

pytestmark = pytest.mark.integration
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
REQUEST = ChatRequest(messages=(Message(role="user", content="?"),))
RULES = dispatch.ClaimRules(affinity_seconds=0)


def submit(user: Database, count: int = 1, budget: Budget | None = None, **fields: Any) -> list[int]:
    spec = JobSpec(title="t", problem="p", checks=(CHECK,), budget=budget or Budget(), egress=Egress.FULL, **fields)
    return [one.job for one in submit_jobs(user, [spec] * count, egress=Egress.FULL)]


def take(fleet: Database, worker: str = "w") -> Claim:
    claim = dispatch.claim(fleet, [Lane.GPU], worker, "turn", RULES)
    assert claim is not None
    return claim


def key(slot: int = 0) -> CallKey:
    return CallKey(iteration=1, operator=Operator.DRAFT, slot=slot, attempt=1)


def completion(tokens: int, usd: Decimal = Decimal(0), seconds: float = 0.1) -> Completion:
    return Completion(
        text="ANSWER: 7",
        finish_reason="stop",
        model="m",
        prompt_tokens=tokens - 1,
        cached_tokens=0,
        completion_tokens=1,
        seconds=seconds,
        usd=usd,
    )


def plan(usd: str, tokens: int = 100) -> CloudPlan:
    return CloudPlan(model="m", request="{}", usd=Decimal(usd), prompt_tokens=tokens - 10, completion_tokens=10)


def value(database: Database, query: str, **parameters: object) -> Any:
    with database.connect() as connection:
        return connection.execute(text(query), parameters).scalar_one()


def change(database: Database, statement: str, **parameters: object) -> None:
    with database.begin() as connection:
        connection.execute(text(statement), parameters)


def events(database: Database, kind: str) -> list[str]:
    with database.connect() as connection:
        query = text("SELECT detail FROM events WHERE kind = :kind ORDER BY id")
        return list(connection.execute(query, {"kind": kind}).scalars())


# ── crowds ────────────────────────────────────────────────────────────────────────────────────────


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

        def work(number: int) -> None:
            chance, ledger = random.Random(number), PostgresLedger(fleet, fault_cap=3)
            for step in range(60):
                claim = dispatch.claim(fleet, [Lane.GPU], f"w{number}", "turn", RULES)
                if claim is None:
                    continue
                at, most = key(slot=1000 * number + step), chance.randint(20, 120)
                try:
                    ledger.reserve(claim, at, most)
                except (DailyReserved, DailyLimitReached):
                    ledger.hand_over(claim, Lane.GPU)
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
        assert value(fleet, "SELECT sum(local_tokens) FROM owner_usage") > whole - 120
        assert value(fleet, "SELECT max(sum) FROM (SELECT sum(local_tokens) FROM owner_usage GROUP BY owner) o") <= each
        assert breaches(fleet) == ()


# ── what a job does ───────────────────────────────────────────────────────────────────────────────


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


# ── waits that are cut short ──────────────────────────────────────────────────────────────────────


def pass_hours(fleet: Database, hours: float) -> None:
    """The clock goes on: every moment that is kept of jobs and leases is so much longer ago."""
    moments = text("""SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'
                      AND table_name IN ('jobs', 'leases') AND data_type LIKE 'timestamp%'""")
    with fleet.begin() as connection:
        for table, column in connection.execute(moments).all():
            earlier = f"UPDATE {table} SET {column} = {column} - make_interval(secs => 3600 * :hours)"
            connection.execute(text(earlier), {"hours": hours})


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
    lifecycle.edit(user, job, Changes(hours=1.0))


# ── hours and iterations ──────────────────────────────────────────────────────────────────────────


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


# ── a job's own ───────────────────────────────────────────────────────────────────────────────────


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


def work(fleet: Database, ledger: PostgresLedger) -> None:
    """Turns until no job may be claimed; a wait is not cut short."""
    while (claim := dispatch.claim(fleet, loops.ENGINE_AND_CHECKS, "w", "turn", RULES)) is not None:
        loops.twin_loop(ledger, ScriptedModel(loops.corrected)).turn(claim, loops.ENGINE_AND_CHECKS, SilentHeartbeat())


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
