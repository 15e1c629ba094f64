"""A batch: one budget that no crowd of workers can pass, and the order in which its jobs take their turns."""

from __future__ import annotations

import dataclasses
import importlib
import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tasks.errors import BatchLimitReached, BatchReserved, InvalidInput, LeaseLost
from tasks.llm.scripted import ScriptedModel
from tasks.store import batches, dispatch, lifecycle, queries, reaping
from tasks.store.escalations import PostgresEscalations
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import (
    BatchBudget,
    CallKey,
    Candidate,
    CandidateRef,
    Changes,
    ChatRequest,
    CheckSpec,
    Claim,
    CloudPlan,
    Completion,
    Draft,
    EscalationState,
    Iteration,
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
OPS = Path(__file__).parents[3] / "ops"
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
SPEC = JobSpec(title="t", problem="What is six times seven?", checks=(CHECK,), strategy="best_of_n")
REQUEST = ChatRequest(messages=(Message(role="user", content="?"),))
RULES = dispatch.ClaimRules(affinity_seconds=60)
AGAIN = Draft(slots=1)
SOLVED = Stop(code=StopCode.ACCEPTED)


def specs(count: int, **fields: Any) -> list[JobSpec]:
    return [dataclasses.replace(SPEC, title=f"job {n}", **fields) for n in range(count)]


def submit(user: Database, count: int, budget: BatchBudget, **fields: Any) -> list[int]:
    return [one.job for one in submit_jobs(user, specs(count, **fields), pool=budget)]


def take(fleet: Database, worker: str = "w", *lanes: Lane) -> Claim:
    claim = dispatch.claim(fleet, lanes or (Lane.GPU,), worker, "turn", RULES)
    assert claim is not None
    return claim


def key(iteration: int = 1, slot: int = 0) -> CallKey:
    return CallKey(iteration=iteration, operator=Operator.DRAFT, slot=slot, attempt=1)


def completion(tokens: int) -> Completion:
    counts = {"prompt_tokens": tokens // 2, "cached_tokens": 0, "completion_tokens": tokens - tokens // 2}
    return Completion(text="ANSWER: 7", finish_reason="stop", model="m", seconds=0.1, **counts)


def iterate(fleet: Database, claim: Claim, decision: Any, *, number: int = 1, tokens: int = 10) -> None:
    """One iteration, in which a draft was rejected or accepted as `decision` says."""
    ledger, ref = PostgresLedger(fleet, fault_cap=3), CandidateRef(iteration=number, slot=0)
    ledger.begin(claim, number, AGAIN, ())
    ledger.reserve(claim, key(number), tokens)
    ledger.commit_call(claim, key(number), REQUEST, "hash", completion(tokens))
    made = Candidate(ref=ref, operator=Operator.DRAFT, text="ANSWER: 7", root=ref, accepted=decision is SOLVED)
    ledger.commit_candidates(claim, number, [made])
    done = Iteration(number=number, operator=Operator.DRAFT, candidates=(made,))
    ledger.record(claim, done, decision, lane=Lane.GPU, lesson_due=False)


def value(database: Database, query: str, **parameters: object) -> Any:
    with database.connect() as connection:
        return connection.execute(text(query), parameters).scalar_one()


def change(database: Database, statement: str, **parameters: object) -> None:
    with database.begin() as connection:
        connection.execute(text(statement), parameters)


# ── the submission ────────────────────────────────────────────────────────────────────────────────


def test_jobs_that_are_submitted_with_one_budget_are_one_batch(user: Database) -> None:
    done = submit_jobs(user, specs(3), pool=BatchBudget(tokens=1000, usd=Decimal("1.5"), hours=2.0))
    (number,) = {one.batch for one in done}
    assert number is not None
    batch = queries.batch_summary(user, number)
    assert batch is not None
    assert (batch.owner, batch.jobs, batch.ended, batch.accepted, batch.tokens) == ("alice", 3, 0, 0, 0)
    assert batch.budget == BatchBudget(tokens=1000, usd=Decimal("1.5"), hours=2.0)
    (other,) = submit_jobs(user, specs(1))
    assert other.batch is None
    assert [job.job for job in queries.list_jobs(user, batch=number)] == [one.job for one in reversed(done)]
    assert queries.job_summary(user, done[0].job).batch == number


def test_keys_that_are_known_give_their_jobs_back_and_make_no_batch(user: Database) -> None:
    keyed = [dataclasses.replace(SPEC, key=f"k{n}") for n in range(2)]
    first = submit_jobs(user, keyed, pool=BatchBudget(tokens=1000))
    again = submit_jobs(user, keyed, pool=BatchBudget(tokens=5))
    assert [(one.job, one.batch, one.new) for one in again] == [(one.job, one.batch, False) for one in first]
    assert value(user, "SELECT count(*) FROM batches") == 1


def test_nobody_sees_or_spends_the_batch_of_another(user: Database, login: Callable[..., str]) -> None:
    (job,) = submit(user, 1, BatchBudget(tokens=1000))
    number = queries.job_summary(user, job).batch
    assert number is not None
    with Database(login("bob")) as bob:
        assert queries.batch_summary(bob, number) is None
        (own,) = submit_jobs(bob, specs(1))
        columns = "title, problem, checks, strategy, lane, egress, budget_usd, budget_hours, budget_iterations"
        with pytest.raises(DBAPIError, match="jobs_batch"):
            change(
                bob,
                f"INSERT INTO jobs (spec_hash, batch_id, budget_tokens, {columns}) "
                f"SELECT 'h', :batch, budget_tokens, {columns} FROM jobs WHERE id = :job",
                batch=number,
                job=own.job,
            )
    for statement in ("UPDATE batches SET budget_tokens = 10000", "DELETE FROM batches"):
        with pytest.raises(DBAPIError, match="permission denied"):
            change(user, statement)


# ── the order ─────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_leaves_a_job_after_each_iteration_and_drops_the_solved(user: Database, fleet: Database) -> None:
    jobs = submit(user, 4, BatchBudget(tokens=10_000))
    first = []
    for decision in (AGAIN, SOLVED, AGAIN, SOLVED):
        claim = take(fleet)
        first.append(claim.job)
        iterate(fleet, claim, decision)
    assert first == jobs
    second = {take(fleet, "other").job, take(fleet, "w").job}
    assert second == {jobs[0], jobs[2]}
    assert dispatch.claim(fleet, [Lane.GPU], "w", "turn", RULES) is None


def test_an_iteration_under_way_is_finished_before_others_begin(user: Database, fleet: Database) -> None:
    jobs = submit(user, 3, BatchBudget(tokens=10_000))
    claim = take(fleet)
    PostgresLedger(fleet, fault_cap=3).hand_over(claim, Lane.CHECK)
    iterate(fleet, take(fleet, "w", Lane.CHECK), AGAIN)
    claim = take(fleet)
    assert claim.job == jobs[1]
    PostgresLedger(fleet, fault_cap=3).hand_over(claim, Lane.GPU)
    assert take(fleet).job == jobs[1]


def test_a_batch_stands_where_its_first_job_would(user: Database, fleet: Database) -> None:
    (before,) = (one.job for one in submit_jobs(user, specs(1)))
    jobs = submit(user, 2, BatchBudget(tokens=10_000))
    (after,) = (one.job for one in submit_jobs(user, specs(1)))
    taken = [take(fleet).job]
    for _ in jobs:
        claim = take(fleet)
        taken.append(claim.job)
        iterate(fleet, claim, AGAIN)
    taken += [take(fleet).job for _ in range(3)]
    assert taken[0] == before
    assert set(taken[1:3]) == set(taken[3:5]) == set(jobs)
    assert taken[5] == after


def test_a_family_that_is_solved_again_and_again_goes_before_one_that_never_is(
    user: Database, fleet: Database, admin_url: str
) -> None:
    counts = "INSERT INTO family_counts VALUES ('alice', 'easy', 1, false, 90, 10), ('alice', 'hard', 1, false, 1, 99)"
    with Database(admin_url) as admin:
        change(admin, counts)
    hard = dataclasses.replace(SPEC, tags=("hard",))
    easy = dataclasses.replace(SPEC, tags=("easy",))
    done = submit_jobs(user, [hard, easy] * 3, pool=BatchBudget(tokens=10_000))
    for _ in done:
        iterate(fleet, take(fleet), AGAIN)
    order = [take(fleet).job for _ in done]
    assert set(order[:3]) == {one.job for one in done[1::2]}


def test_what_became_of_each_iteration_is_counted_for_its_owner_and_family(user: Database, fleet: Database) -> None:
    submit(user, 2, BatchBudget(tokens=10_000), tags=("b", "a"))
    submit(user, 1, BatchBudget(tokens=10_000))
    for decision in (AGAIN, SOLVED):
        iterate(fleet, take(fleet), decision)
    iterate(fleet, take(fleet), SOLVED, number=2)
    iterate(fleet, take(fleet), AGAIN)
    with user.connect() as connection:
        rows = connection.execute(text("SELECT * FROM family_counts ORDER BY family, earlier")).all()
    assert [tuple(row) for row in rows] == [
        ("alice", "a b", 0, False, 1, 1),
        ("alice", "a b", 1, False, 1, 0),
        ("alice", "answer", 0, False, 0, 1),
    ]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_batch_takes_no_more_than_its_owners_share(admin_url: str, seed: int) -> None:
    """Engine seconds of owners who all have more to do than the night is long: each at least 90 % of an equal part."""
    simulation = importlib.import_module("dispatch.simulation")
    with Database(admin_url) as database:
        night = simulation.Night(database, random.Random(seed), workers=4)
        night.submit("batch", 80, iterations=12, batch=True)
        for owner in ("ann", "bob"):
            night.submit(owner, 20, iterations=12)
        got: Counter[str] = Counter()
        for turn in night.turns(12):
            got[turn.owner] += turn.seconds
    assert min(got[owner] for owner in ("batch", "ann", "bob")) >= 0.9 * got.total() / 3


# ── the budget ────────────────────────────────────────────────────────────────────────────────────


def test_a_call_is_reserved_from_the_batch_beside_those_of_its_other_jobs(user: Database, fleet: Database) -> None:
    submit(user, 2, BatchBudget(tokens=100))
    ledger, first, second = PostgresLedger(fleet, fault_cap=3), take(fleet), take(fleet)
    ledger.reserve(first, key(), 60)
    with pytest.raises(BatchReserved, match="0 of the batch's 100 are used and 60 reserved"):
        ledger.reserve(second, key(), 60)
    ledger.commit_call(first, key(), REQUEST, "h", completion(30))
    ledger.reserve(second, key(), 60)
    with pytest.raises(BatchLimitReached, match="30 of 100"):
        ledger.reserve(first, key(slot=1), 71)
    assert breaches(fleet) == ()


def test_what_a_dead_worker_had_reserved_is_free_again_and_counted_once(user: Database, fleet: Database) -> None:
    submit(user, 2, BatchBudget(tokens=100))
    ledger, dead, other = PostgresLedger(fleet, fault_cap=3), take(fleet), take(fleet)
    ledger.reserve(dead, key(), 100)
    change(fleet, "UPDATE leases SET lease_until = now() - interval '1 s' WHERE job_id = :job", job=dead.job)
    reaping.reap(fleet, crash_cap=9)
    ledger.reserve(other, key(), 100)
    with pytest.raises(LeaseLost):
        ledger.commit_call(dead, key(), REQUEST, "h", completion(100))
    ledger.commit_call(other, key(), REQUEST, "h", completion(100))
    assert value(fleet, "SELECT tokens FROM batches") == 100
    assert breaches(fleet) == ()


def test_a_cancelled_call_holds_nothing_of_the_batch(user: Database, fleet: Database) -> None:
    submit(user, 2, BatchBudget(tokens=100))
    ledger, cancelled, other = PostgresLedger(fleet, fault_cap=3), take(fleet), take(fleet)
    ledger.reserve(cancelled, key(), 100)
    with pytest.raises(BatchReserved):
        ledger.reserve(other, key(), 100)
    ledger.stop(cancelled, Stop(code=StopCode.CANCELLED))
    assert ledger.reserve(other, key(), 100).completion_tokens == 0  # and it asks for no completion tokens


def test_no_call_begins_after_the_hours_of_the_batch(user: Database, fleet: Database) -> None:
    submit(user, 1, BatchBudget(hours=1.0))
    ledger, claim = PostgresLedger(fleet, fault_cap=3), take(fleet)
    ledger.reserve(claim, key(), 10)
    change(fleet, "UPDATE batches SET started_at = now() - interval '61 min'")
    with pytest.raises(BatchLimitReached) as limit:
        ledger.reserve(claim, key(slot=1), 10)
    assert limit.value.code is StopCode.BATCH_HOURS


def test_an_escalation_that_the_batch_cannot_pay_for_is_refused(user: Database, fleet: Database) -> None:
    submit(user, 2, BatchBudget(usd=Decimal("0.50")))
    plan = CloudPlan(model="gpt", request="{}", usd=Decimal("0.30"), prompt_tokens=10, completion_tokens=10)
    dear = dataclasses.replace(plan, usd=Decimal("0.60"))
    cloud, first, second = PostgresEscalations(fleet), take(fleet), take(fleet)
    assert cloud.intend(first, 1, plan).state is EscalationState.INTENT
    with pytest.raises(BatchReserved):
        cloud.intend(second, 1, plan)
    assert cloud.intend(second, 1, dear).state is EscalationState.REFUSED
    paid = dataclasses.replace(completion(20), usd=Decimal("0.30"))
    cloud.settle(first, 1, EscalationState.DONE, paid)
    assert value(fleet, "SELECT usd FROM batches") == Decimal("0.30")
    assert value(fleet, "SELECT tokens FROM batches") == 20
    assert not [breach for breach in breaches(fleet) if breach.invariant.startswith("I5")]


def test_when_the_budget_is_spent_the_rest_ends_unsolved_for_that_reason(user: Database, fleet: Database) -> None:
    jobs = submit(user, 5, BatchBudget(tokens=700))
    loops.run(fleet, PostgresLedger(fleet, fault_cap=3), ScriptedModel(lambda request: "ANSWER: 7"), width=4)
    summaries = [queries.job_summary(user, job) for job in jobs]
    assert {(one.state, one.stop_code) for one in summaries} == {(JobState.UNSOLVED, StopCode.BATCH_TOKENS)}
    assert "700 that it shares with its batch are left" in summaries[0].reason
    assert max(one.iterations for one in summaries) - min(one.iterations for one in summaries) <= 1
    number = summaries[0].batch
    assert number is not None
    batch = queries.batch_summary(user, number)
    assert batch is not None
    assert (batch.ended, batch.accepted) == (5, 0)
    assert 0 < batch.tokens <= 700
    assert value(fleet, "SELECT max(slot) FROM candidates") == 0, "an iteration of a batch's job has one candidate"
    assert batch.tokens == sum(one.spend.local_tokens for one in summaries)
    with pytest.raises(InvalidInput, match="the budget of batch 1 is spent"):
        lifecycle.retry(user, jobs[0], Changes())
    assert breaches(fleet, submitted=jobs, drained=True) == ()


def test_a_crowd_of_workers_cannot_spend_more_together(user: Database, login: Callable[..., str]) -> None:
    """Threads reserve, spend part of it, or die with it, while another looks at every moment."""
    limit, crowd = 2_000, 8
    submit(user, 16, BatchBudget(tokens=limit))
    stop, highest = threading.Event(), []
    with Database(login("fleet", "redraft_worker"), pool=crowd + 2) as fleet:

        def work(number: int) -> None:
            chance, ledger = random.Random(number), PostgresLedger(fleet, fault_cap=3)
            for slot in range(200):
                claim = dispatch.claim(fleet, [Lane.GPU], f"w{number}", "turn", dispatch.ClaimRules(affinity_seconds=0))
                if claim is None:
                    return
                most = chance.randint(20, 120)
                try:
                    ledger.reserve(claim, key(slot=1000 * number + slot), most)
                except BatchReserved:
                    ledger.hand_over(claim, Lane.GPU)
                    continue
                except BatchLimitReached as spent:
                    ledger.stop(claim, Stop(code=spent.code, used=spent.value, limit=spent.limit))
                    continue
                if chance.random() < 0.1:  # it dies
                    expired = (
                        "UPDATE leases SET lease_until = now() - interval '1 s' WHERE job_id = :job AND epoch = :e"
                    )
                    change(fleet, expired, job=claim.job, e=claim.epoch)
                    reaping.reap(fleet, crash_cap=1000)
                    continue
                used = chance.randint(1, most)
                ledger.commit_call(claim, key(slot=1000 * number + slot), REQUEST, "h", completion(used))
                ledger.hand_over(claim, Lane.GPU)

        def watch() -> None:
            query = text(
                f"SELECT b.tokens + r.tokens FROM batches b, LATERAL ({batches.RESERVED.format(batch='b.id')}) r"
            )
            while not stop.wait(0.01):
                with fleet.connect() as connection:
                    highest.append(connection.execute(query).scalar_one())

        watching = threading.Thread(target=watch)
        watching.start()
        with ThreadPoolExecutor(crowd) as pool:
            list(pool.map(work, range(crowd)))
        stop.set()
        watching.join()
        assert highest
        assert max(highest) <= limit
        assert value(fleet, "SELECT tokens FROM batches") > limit - 120
        assert breaches(fleet) == ()


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_in_whatever_order_the_account_of_a_batch_is_true(
    user: Database, fleet: Database, seed: int
) -> None:
    """Reservations, settlements, hand-overs, deaths and ends at random; what is expected is counted beside them."""
    chance, limit = random.Random(seed), 1_500
    submit(user, 5, BatchBudget(tokens=limit))
    ledger = PostgresLedger(fleet, fault_cap=3)
    held: dict[int, tuple[Claim, dict[int, int]]] = {}
    spent = 0
    for step in range(120):
        match chance.choice(["claim", "reserve", "reserve", "settle", "settle", "hand over", "die", "stop"]):
            case "claim":
                rules = dispatch.ClaimRules(affinity_seconds=0)
                if claim := dispatch.claim(fleet, [Lane.GPU], "w", "turn", rules):
                    held[claim.job] = claim, {}
            case "reserve" if held:
                claim, calls = chance.choice(list(held.values()))
                most, reserved = chance.randint(1, 150), sum(sum(calls.values()) for _, calls in held.values())
                try:
                    ledger.reserve(claim, key(slot=step), most)
                    assert spent + reserved + most <= limit
                    calls[step] = most
                except BatchReserved:
                    assert spent + most <= limit < spent + reserved + most
                except BatchLimitReached:
                    assert spent + most > limit
            case "settle" if any(calls for _, calls in held.values()):
                claim, calls = chance.choice([one for one in held.values() if one[1]])
                slot = chance.choice(list(calls))
                used = chance.randint(1, calls.pop(slot))
                ledger.commit_call(claim, key(slot=slot), REQUEST, "h", completion(used))
                spent += used
            case "hand over" if held:
                claim, _ = held.pop(chance.choice(list(held)))
                ledger.hand_over(claim, Lane.GPU)
            case "die" if held:
                claim, _ = held.pop(chance.choice(list(held)))
                expired = "UPDATE leases SET lease_until = now() - interval '1 s' WHERE job_id = :job"
                change(fleet, expired, job=claim.job)
                reaping.reap(fleet, crash_cap=1000)
            case "stop" if held and chance.random() < 0.2:
                claim, _ = held.pop(chance.choice(list(held)))
                ledger.stop(claim, Stop(code=StopCode.GAVE_UP))
            case _:
                pass
        assert value(fleet, "SELECT tokens FROM batches") == spent
    assert breaches(fleet) == ()


@pytest.fixture(autouse=True)
def _ops_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(OPS))


def test_the_claim_reads_a_batch_by_its_index(user: Database, admin_url: str) -> None:
    submit(user, 3, BatchBudget(tokens=1000))
    with psycopg.connect(admin_url.replace("+psycopg", "", 1)) as connection:
        connection.execute("SET enable_seqscan = off")
        rows = connection.execute("""
            EXPLAIN SELECT job_id FROM leases l WHERE lane = 'gpu' AND owner = 'alice' AND runnable AND worker IS NULL
            ORDER BY coalesce(l.batch_first, l.job_id), l.batch_rank, l.job_id LIMIT 1""")
        plan = "\n".join(row[0] for row in rows)
    assert "leases_turn" in plan
    assert "Sort" not in plan
