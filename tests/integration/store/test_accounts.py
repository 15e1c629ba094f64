"""What a job's account says: tokens reserved and settled, engine time of its owner, deaths, and what an end leaves."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import text

from tasks.errors import LimitReached
from tasks.store import dispatch, reaping
from tasks.store.escalations import PostgresEscalations
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import (
    Budget,
    CallKey,
    Candidate,
    CandidateRef,
    ChatRequest,
    CheckSpec,
    Claim,
    CloudPlan,
    Completion,
    Draft,
    EscalationState,
    Iteration,
    JobSpec,
    Lane,
    Message,
    Operator,
    Verdict,
)

pytestmark = pytest.mark.integration
REQUEST = ChatRequest(messages=(Message(role="user", content="?"),))


def put(user: Database, **fields: object) -> int:
    check = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
    return submit_jobs(user, [JobSpec(title="t", problem="p", checks=(check,), **fields)])[0].job  # type: ignore[arg-type]


def take(fleet: Database, worker: str = "w1") -> Claim:
    claim = dispatch.claim(fleet, [Lane.GPU], worker, f"turn-{worker}", dispatch.ClaimRules())
    assert claim is not None
    return claim


def key(slot: int = 0) -> CallKey:
    return CallKey(iteration=1, operator=Operator.DRAFT, slot=slot, attempt=1)


def completion(*, tokens: int = 16, seconds: float = 0.5) -> Completion:
    return Completion(
        text="ANSWER: 42",
        finish_reason="stop",
        model="m",
        prompt_tokens=tokens - 6,
        cached_tokens=4,
        completion_tokens=6,
        seconds=seconds,
    )


def value(database: Database, query: str, **parameters: object) -> object:
    with database.connect() as connection:
        return connection.execute(text(query), parameters).scalar_one()


def change(database: Database, statement: str, **parameters: object) -> None:
    with database.begin() as connection:
        connection.execute(text(statement), parameters)


def die(fleet: Database, claim: Claim, *, cap: int = 9) -> None:
    change(fleet, "UPDATE leases SET lease_until = now() - interval '1 s' WHERE job_id = :job", job=claim.job)
    assert reaping.reap(fleet, crash_cap=cap) == (claim.job,)


def test_a_call_may_take_exactly_what_is_left(user: Database, fleet: Database) -> None:
    put(user, budget=Budget(tokens=100))
    ledger, claim = PostgresLedger(fleet, fault_cap=3), take(fleet)
    ledger.reserve(claim, key(0), 70)
    with pytest.raises(LimitReached, match="tokens"):
        ledger.reserve(claim, key(1), 31)
    ledger.reserve(claim, key(1), 30)
    with pytest.raises(LimitReached, match="tokens"):
        ledger.reserve(claim, key(2), 1)


def test_what_a_call_took_is_spent_and_the_rest_of_its_reservation_free_again(user: Database, fleet: Database) -> None:
    put(user, budget=Budget(tokens=100))
    ledger, claim = PostgresLedger(fleet, fault_cap=3), take(fleet)
    ledger.reserve(claim, key(0), 100)
    ledger.commit_call(claim, key(0), REQUEST, "h", completion(tokens=40))
    ledger.reserve(claim, key(1), 60)
    spend = ledger.load(claim).spend
    assert (spend.local_tokens, spend.cloud_tokens, spend.engine_seconds) == (40, 0, 0.5)


def test_an_answer_may_have_what_is_left_of_the_completion_tokens(user: Database, fleet: Database) -> None:
    """What is reserved counts until it is settled; a cloud answer does not."""
    put(user, budget=Budget(completion_tokens=100))
    ledger, claim = PostgresLedger(fleet, fault_cap=3), take(fleet)
    assert ledger.load(claim).spec.budget.completion_tokens == 100
    assert ledger.reserve(claim, key(0), 500, 70).completion_tokens == 70
    assert ledger.reserve(claim, key(1), 500, 70).completion_tokens == 30
    with pytest.raises(LimitReached, match="completion_tokens: 100 of 100 are used"):
        ledger.reserve(claim, key(2), 500, 1)
    ledger.commit_call(claim, key(0), REQUEST, "h", completion(tokens=40))  # six of them are its answer's
    assert ledger.reserve(claim, key(2), 500, 70).completion_tokens == 64
    assert value(fleet, "SELECT sum(tokens) FROM reservations") == 500 - 40 + 500 - 6


def test_the_engine_time_of_a_call_is_its_owner_s(user: Database, fleet: Database) -> None:
    job = put(user)
    ledger, claim = PostgresLedger(fleet, fault_cap=3), take(fleet)
    for slot, seconds in enumerate((700.0, 12.5)):
        ledger.commit_call(claim, key(slot), REQUEST, "h", completion(seconds=seconds))
    owner = value(fleet, "SELECT owner FROM jobs WHERE id = :job", job=job)
    assert value(fleet, "SELECT sum(engine_seconds) FROM owner_usage WHERE owner = :owner", owner=owner) == 712.5
    assert value(fleet, "SELECT count(*) FROM owner_usage WHERE owner <> :owner", owner=owner) == 0


def test_an_owner_whose_jobs_used_the_engine_waits_behind_one_whose_jobs_did_not(
    user: Database, fleet: Database, login
) -> None:
    put(user)
    ledger, claim = PostgresLedger(fleet, fault_cap=3), take(fleet)
    ledger.commit_call(claim, key(), REQUEST, "h", completion(seconds=5_000.0))
    alices = put(user)
    with Database(login("bob")) as bob:
        bobs = put(bob)
    assert [take(fleet, "w2").job, take(fleet, "w2").job] == [bobs, alices]


def candidate(number: int) -> Candidate:
    ref = CandidateRef(iteration=number, slot=0)
    verdict = Verdict(check="answer", kind="answer", passed=False, score=0.0)
    return Candidate(ref=ref, operator=Operator.DRAFT, text="x", root=ref, verdicts=(verdict,))


def record(ledger: PostgresLedger, claim: Claim) -> None:
    ledger.begin(claim, 1, Draft(slots=1), ())
    ledger.commit_candidates(claim, 1, [candidate(1)])
    ledger.commit_verdicts(claim, candidate(1), done=True)
    iteration = Iteration(number=1, operator=Operator.DRAFT, candidates=(candidate(1),))
    ledger.record(claim, iteration, Draft(slots=1), lane=Lane.GPU, lesson_due=False)


def test_a_recorded_iteration_forgives_the_deaths_and_the_faults_before_it(user: Database, fleet: Database) -> None:
    job, ledger = put(user), PostgresLedger(fleet, fault_cap=9)
    die(fleet, take(fleet))
    die(fleet, take(fleet, "w2"))
    ledger.hand_over(take(fleet, "w3"), Lane.GPU, fault="engine: it hung")
    counted = "SELECT crashes * 10 + faults FROM jobs WHERE id = :job"
    assert value(fleet, counted, job=job) == 21
    change(fleet, "UPDATE leases SET run_at = now()")
    record(ledger, take(fleet, "w3"))
    assert value(fleet, counted, job=job) == 0
    die(fleet, take(fleet, "w3"), cap=2)
    assert value(fleet, "SELECT state FROM jobs WHERE id = :job", job=job) == "running"


def test_a_job_that_was_cancelled_ends_when_its_holder_dies(user: Database, fleet: Database) -> None:
    job, claim = put(user), take(fleet)
    with user.begin() as connection:
        connection.execute(text("SELECT redraft_cancel(:job)"), {"job": job})
    assert value(fleet, "SELECT state FROM jobs WHERE id = :job", job=job) == "running"
    die(fleet, claim)
    assert value(fleet, "SELECT state FROM jobs WHERE id = :job", job=job) == "cancelled"
    assert dispatch.claim(fleet, [Lane.GPU], "w2", "t", dispatch.ClaimRules()) is None


def test_what_a_dead_holder_had_reserved_is_free_for_the_next(user: Database, fleet: Database) -> None:
    put(user, budget=Budget(tokens=100))
    ledger, first = PostgresLedger(fleet, fault_cap=3), take(fleet)
    ledger.reserve(first, key(0), 100)
    die(fleet, first)
    second = take(fleet, "w2")
    assert value(fleet, "SELECT count(*) FROM reservations") == 0
    ledger.reserve(second, key(1), 84)


def test_what_a_holder_had_reserved_when_it_gave_the_job_back_is_free_for_the_next(
    user: Database, fleet: Database
) -> None:
    put(user, budget=Budget(tokens=100))
    ledger, first = PostgresLedger(fleet, fault_cap=3), take(fleet)
    ledger.reserve(first, key(0), 100)
    ledger.hand_over(first, Lane.GPU)
    ledger.reserve(take(fleet), key(1), 100)
    assert value(fleet, "SELECT sum(tokens) FROM reservations") == 100


def test_a_reservation_of_another_job_is_nothing_to_a_claim(user: Database, fleet: Database) -> None:
    ledger = PostgresLedger(fleet, fault_cap=3)
    for worker in ("w1", "w2"):
        put(user, budget=Budget(tokens=100))
        ledger.reserve(take(fleet, worker), key(0), 100)
    assert value(fleet, "SELECT sum(tokens) FROM reservations") == 200


def plan(*, usd: str = "0.10", tokens: int = 100) -> CloudPlan:
    return CloudPlan(model="gpt-5.4", request="{}", usd=Decimal(usd), prompt_tokens=tokens - 40, completion_tokens=40)


@pytest.mark.parametrize(
    ("asked", "state"),
    [
        (plan(usd="0.50", tokens=900), EscalationState.INTENT),
        (plan(usd="0.500001"), EscalationState.REFUSED),
        (plan(tokens=901), EscalationState.REFUSED),
    ],
)
def test_an_escalation_may_cost_exactly_what_is_left(
    user: Database, fleet: Database, asked: CloudPlan, state: EscalationState
) -> None:
    put(user, budget=Budget(usd=Decimal("0.50"), tokens=1_000))
    claim = take(fleet)
    PostgresLedger(fleet, fault_cap=3).reserve(claim, key(), 100)
    assert PostgresEscalations(fleet).intend(claim, 1, asked).state is state


def test_an_escalation_under_way_counts_with_its_most_costly_outcome(user: Database, fleet: Database) -> None:
    put(user, budget=Budget(usd=Decimal("0.50"), tokens=1_000))
    claim, ledger = take(fleet), PostgresEscalations(fleet)
    assert ledger.intend(claim, 1, plan(usd="0.30", tokens=500)).state is EscalationState.INTENT
    assert ledger.intend(claim, 2, plan(usd="0.21", tokens=100)).state is EscalationState.REFUSED
    assert ledger.intend(claim, 3, plan(usd="0.10", tokens=501)).state is EscalationState.REFUSED
    assert ledger.intend(claim, 4, plan(usd="0.20", tokens=500)).state is EscalationState.INTENT
