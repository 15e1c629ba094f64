from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime

import psycopg
import pytest
from sqlalchemy import text

from tasks.errors import Cancelled, JournalMismatch, LeaseLost, LimitReached
from tasks.store import dispatch, reaping
from tasks.store.lease_renewer import LeaseRenewer
from tasks.store.ledger import PostgresLedger
from tasks.store.presence import WorkerRegistration
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
    Completion,
    Draft,
    Iteration,
    JobSpec,
    Lane,
    Message,
    Operator,
    Stop,
    StopCode,
    Verdict,
)
from tests.background import running

pytestmark = pytest.mark.integration
RULES = dispatch.ClaimRules(lease_seconds=15, affinity_seconds=0.3)
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
KEY = CallKey(iteration=1, operator=Operator.DRAFT, slot=0, attempt=1)
REQUEST = ChatRequest(messages=(Message(role="user", content="?"),))
MADE = Completion(
    text="ANSWER: 42",
    finish_reason="stop",
    model="m",
    prompt_tokens=10,
    cached_tokens=4,
    completion_tokens=6,
    seconds=0.5,
)


def spec(**fields: object) -> JobSpec:
    return JobSpec(title="t", problem="p", checks=(CHECK,), **fields)  # type: ignore[arg-type]


@pytest.fixture
def worker_url(login: Callable[..., str]) -> str:
    return login("fleet", "redraft_worker")


@pytest.fixture
def fleet(worker_url: str) -> Iterator[Database]:
    with Database(worker_url) as database:
        yield database


def put(user: Database, **fields: object) -> int:
    return submit_jobs(user, [spec(**fields)])[0].job


def take(fleet: Database, worker: str = "w1", lane: Lane = Lane.GPU) -> Claim | None:
    return dispatch.claim(fleet, [lane], worker, f"turn-{worker}", RULES)


def expire(fleet: Database, job: int) -> None:
    with fleet.begin() as connection:
        connection.execute(text("UPDATE leases SET lease_until = now() - interval '1 s' WHERE job_id = :j"), {"j": job})


def lease_until(fleet: Database) -> datetime:
    """When the only lease runs out."""
    with fleet.connect() as connection:
        until: datetime = connection.execute(text("SELECT lease_until FROM leases")).scalar_one()
    return until


def until(fleet: Database, query: str, **parameters: object) -> None:
    """Waits until the database says so; the test's own limit of time is the only one."""
    while True:
        with fleet.connect() as connection:
            if connection.execute(text(query), parameters).scalar_one():
                return
        time.sleep(0.05)


def state(fleet: Database, job: int) -> str:
    with fleet.connect() as connection:
        return str(connection.execute(text("SELECT state FROM jobs WHERE id = :j"), {"j": job}).scalar_one())


def candidate(number: int, *, score: float, accepted: bool = False, text: str = "x") -> Candidate:
    ref = CandidateRef(iteration=number, slot=0)
    verdict = Verdict(check="answer", kind="answer", passed=accepted, score=score)
    return Candidate(
        ref=ref, operator=Operator.DRAFT, text=text, root=ref, verdicts=(verdict,), score=score, accepted=accepted
    )


def iterate(ledger: PostgresLedger, claim: Claim, made: Candidate, decision: Draft | Stop) -> None:
    ledger.commit_candidates(claim, made.ref.iteration, [made])
    ledger.commit_verdicts(claim, made, done=True)
    ledger.record(
        claim,
        Iteration(number=made.ref.iteration, operator=Operator.DRAFT, candidates=(made,)),
        decision,
        lane=Lane.GPU,
        lesson_due=False,
    )


def test_a_job_is_claimed_once_and_each_claim_has_a_higher_epoch(user: Database, fleet: Database) -> None:
    job = put(user)
    first = take(fleet)
    assert first is not None
    assert (first.job, first.epoch) == (job, 1)
    assert take(fleet, "w2") is None
    PostgresLedger(fleet, fault_cap=3).hand_over(first, Lane.GPU)
    second = take(fleet)
    assert second is not None
    assert second.epoch == 2


def test_a_stale_epoch_never_commits(user: Database, fleet: Database) -> None:
    job, ledger = put(user), PostgresLedger(fleet, fault_cap=3)
    stale = take(fleet)
    assert stale is not None
    ledger.begin(stale, 1, Draft(slots=1), ())
    expire(fleet, job)
    assert reaping.reap(fleet, crash_cap=3) == (job,)
    fresh = take(fleet, "w2")
    assert fresh is not None
    assert fresh.stale_task_id == "turn-w1"
    for write in (
        lambda: ledger.begin(stale, 2, Draft(slots=1), ()),
        lambda: ledger.reserve(stale, KEY, 1),
        lambda: ledger.commit_call(stale, KEY, REQUEST, "h", MADE),
        lambda: ledger.commit_candidates(stale, 1, [candidate(1, score=1)]),
        lambda: ledger.commit_verdicts(stale, candidate(1, score=1), done=True),
        lambda: ledger.record(
            stale,
            Iteration(number=1, operator=Operator.DRAFT, candidates=(candidate(1, score=1),)),
            Draft(slots=1),
            lane=Lane.GPU,
            lesson_due=False,
        ),
        lambda: ledger.hand_over(stale, Lane.GPU),
        lambda: ledger.stop(stale, Stop(code=StopCode.GAVE_UP)),
    ):
        with pytest.raises(LeaseLost):
            write()
    assert ledger.find_call(fresh, KEY, "h") is None


def test_the_journal_gives_a_call_back_and_refuses_another_prompt(user: Database, fleet: Database) -> None:
    put(user)
    ledger, claim = PostgresLedger(fleet, fault_cap=3), take(fleet)
    assert claim is not None
    assert ledger.find_call(claim, KEY, "h") is None
    ledger.commit_call(claim, KEY, REQUEST, "h", MADE)
    assert ledger.find_call(claim, KEY, "h") == MADE
    with pytest.raises(JournalMismatch):
        ledger.find_call(claim, KEY, "other")
    assert ledger.load(claim).spend.local_tokens == 16


def test_calls_in_flight_together_cannot_pass_the_budget(user: Database, fleet: Database) -> None:
    put(user, budget=Budget(tokens=100))
    ledger, claim = PostgresLedger(fleet, fault_cap=3), take(fleet)
    assert claim is not None
    ledger.reserve(claim, KEY, 60)
    other = CallKey(iteration=1, operator=Operator.DRAFT, slot=1, attempt=1)
    with pytest.raises(LimitReached):
        ledger.reserve(claim, other, 60)
    ledger.commit_call(claim, KEY, REQUEST, "h", MADE)  # settles at 16
    ledger.reserve(claim, other, 60)


def test_the_incumbent_is_replaced_only_by_a_strictly_better_candidate(user: Database, fleet: Database) -> None:
    put(user)
    ledger = PostgresLedger(fleet, fault_cap=3)
    for number, score, text_, kept in ((1, 0.5, "a", "a"), (2, 0.5, "b", "a"), (3, 0.2, "c", "a"), (4, 0.9, "d", "d")):
        claim = take(fleet)
        assert claim is not None
        if number == 1:
            ledger.begin(claim, 1, Draft(slots=1), ())
        iterate(ledger, claim, candidate(number, score=score, text=text_), Draft(slots=1))
        again = take(fleet)
        assert again is not None
        incumbent = ledger.load(again).incumbent
        assert incumbent is not None
        assert incumbent.text == kept
        ledger.hand_over(again, Lane.GPU)


def test_a_resumed_turn_finds_all_that_was_committed(user: Database, fleet: Database) -> None:
    put(user)
    ledger, claim = PostgresLedger(fleet, fault_cap=3), take(fleet)
    assert claim is not None
    ledger.begin(claim, 1, Draft(slots=1), ())
    made = candidate(1, score=0.25)
    ledger.commit_candidates(claim, 1, [made])
    ledger.commit_verdicts(claim, made, done=True)
    begun = ledger.load(claim).open
    assert begun is not None
    assert begun.candidates == (made,)
    assert begun.checked == {0}


def test_a_job_that_kills_its_worker_three_times_is_quarantined(user: Database, fleet: Database) -> None:
    job = put(user)
    for _ in range(3):
        assert take(fleet) is not None
        expire(fleet, job)
        reaping.reap(fleet, crash_cap=3)
    assert state(fleet, job) == "quarantined"
    assert take(fleet) is None


def test_jobs_that_died_together_are_tried_one_at_a_time_before_the_last(user: Database, fleet: Database) -> None:
    together = {put(user), put(user)}
    for _ in range(dispatch.SUSPECT_CRASHES):
        claims = [take(fleet), take(fleet)]
        assert {claim.job for claim in claims if claim} == together
        with fleet.begin() as connection:
            connection.execute(text("UPDATE leases SET lease_until = now() - interval '1 s'"))
        assert set(reaping.reap(fleet, crash_cap=3)) == together
    first = take(fleet)
    assert first is not None
    assert take(fleet) is None
    fresh = put(user)
    beside, other = take(fleet), take(fleet, "w2")
    assert beside is not None
    assert other is not None
    assert (beside.job, other.job) == (fresh, (together - {first.job}).pop())
    expire(fleet, first.job)
    reaping.reap(fleet, crash_cap=3)
    assert (state(fleet, first.job), state(fleet, other.job)) == ("quarantined", "running")


@pytest.fixture
def bob(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("bob")) as database:
        yield database


def died(fleet: Database, claim: Claim | None) -> int:
    assert claim is not None
    expire(fleet, claim.job)
    assert claim.job in reaping.reap(fleet, crash_cap=10)
    return claim.job


def use_engine(fleet: Database, owner: str, seconds: int) -> None:
    with fleet.begin() as connection:
        connection.execute(
            text("INSERT INTO owner_usage VALUES (:o, date_trunc('hour', now()), :s)"), {"o": owner, "s": seconds}
        )


def test_a_job_whose_worker_died_goes_before_hungrier_owners_and_higher_priorities(
    user: Database, bob: Database, fleet: Database
) -> None:
    killed = put(user)
    first = take(fleet)
    urgent, bobs = put(user, priority=9), put(bob)
    use_engine(fleet, "alice", 5000)
    assert died(fleet, first) == killed
    order = [claim.job for claim in (take(fleet, "w2"), take(fleet, "w2"), take(fleet, "w2")) if claim]
    assert order == [killed, urgent, bobs]


def test_a_job_handed_back_by_a_worker_that_ends_goes_first_on_any_other(
    user: Database, bob: Database, fleet: Database
) -> None:
    job = put(user)
    with fleet.begin() as connection:  # it lives yet, and nobody waits for it
        connection.execute(
            text("INSERT INTO workers (name, host, pid, lanes, slots, version) VALUES ('w1', 'h', 1, '{gpu}', 1, '0')")
        )
    first = take(fleet)
    assert first is not None
    put(bob, priority=9)
    PostgresLedger(fleet, fault_cap=3).hand_over(first, Lane.GPU, interrupted=True)
    again = take(fleet, "w2")
    assert again is not None
    assert again.job == job


def test_a_job_gets_its_place_back_once_so_that_a_killer_holds_up_nobody(
    user: Database, bob: Database, fleet: Database
) -> None:
    killer = put(user)
    first = take(fleet)
    bobs = [put(bob), put(bob)]
    use_engine(fleet, "alice", 5000)
    assert died(fleet, first) == killer
    assert died(fleet, take(fleet, "w2")) == killer
    order = [claim.job for claim in (take(fleet, "w3"), take(fleet, "w3"), take(fleet, "w3")) if claim]
    assert order == [*bobs, killer]


def test_faults_of_a_service_delay_and_at_the_cap_fail_the_job(user: Database, fleet: Database) -> None:
    job, ledger = put(user), PostgresLedger(fleet, fault_cap=2)
    for _ in range(2):
        claim = take(fleet)
        assert claim is not None
        ledger.hand_over(claim, Lane.GPU, fault="engine: it hung")
        assert take(fleet) is None  # it waits
        with fleet.begin() as connection:
            connection.execute(text("UPDATE leases SET run_at = now()"))
    assert state(fleet, job) == "failed"


def test_priority_then_the_hungrier_owner_goes_first(user: Database, bob: Database, fleet: Database) -> None:
    low, high, bobs = put(user), put(user, priority=5), put(bob)
    use_engine(fleet, "alice", 5000)
    order = [claim.job for claim in (take(fleet), take(fleet), take(fleet)) if claim]
    assert order == [high, bobs, low]


def test_the_worker_that_holds_the_prefix_goes_first_while_it_lives(user: Database, fleet: Database) -> None:
    put(user)
    with fleet.begin() as connection:
        connection.execute(
            text("INSERT INTO workers (name, host, pid, lanes, slots, version) VALUES ('w1', 'h', 1, '{gpu}', 1, '0')")
        )
    claim = take(fleet, "w1")
    assert claim is not None
    PostgresLedger(fleet, fault_cap=3).hand_over(claim, Lane.GPU)
    assert take(fleet, "w2") is None
    waited = "SELECT waiting_since < now() - make_interval(secs => :seconds) FROM leases"
    until(fleet, waited, seconds=RULES.affinity_seconds)
    assert take(fleet, "w2") is not None


def test_an_owner_sees_and_cancels_only_rows_of_their_own(
    user: Database, fleet: Database, login: Callable[..., str]
) -> None:
    job = put(user)
    with Database(login("eve")) as eve, eve.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM job_summary")).scalar_one() == 0
        assert connection.execute(text("SELECT redraft_cancel(:j)"), {"j": job}).scalar_one() is None
    assert state(fleet, job) == "queued"
    with user.begin() as connection:
        assert connection.execute(text("SELECT redraft_cancel(:j)"), {"j": job}).scalar_one() == "cancelled"
    assert take(fleet) is None


def test_the_keeper_renews_what_moves_and_hears_a_cancel(user: Database, fleet: Database, worker_url: str) -> None:
    job = put(user)
    card = WorkerRegistration(name="w1", host="h", pid=1, lanes=("gpu",), slots=1, model="m", version="0")
    claim = dispatch.claim(fleet, [Lane.GPU], "w1", "t", dispatch.ClaimRules(lease_seconds=1))
    assert claim is not None
    renewer = LeaseRenewer(worker_url, lambda: card, lease_seconds=1)
    heartbeat = renewer.hold(claim)
    with running(renewer.run):
        time.sleep(2.0)
        assert reaping.reap(fleet, crash_cap=3) == ()
        heartbeat.check()
        with user.begin() as connection:
            connection.execute(text("SELECT redraft_cancel(:j)"), {"j": job})
        while not heartbeat.cancelled:
            time.sleep(0.02)
        with pytest.raises(Cancelled):
            heartbeat.check()
    with psycopg.connect(worker_url.replace("+psycopg", "", 1)) as connection:
        assert connection.execute("SELECT count(*) FROM workers").fetchone() == (0,)


def test_a_slot_that_makes_no_progress_loses_its_lease(user: Database, fleet: Database, worker_url: str) -> None:
    job = put(user)
    card = WorkerRegistration(name="w1", host="h", pid=1, lanes=("gpu",), slots=1, model="m", version="0")
    claim = dispatch.claim(fleet, [Lane.GPU], "w1", "t", dispatch.ClaimRules(lease_seconds=1))
    assert claim is not None
    renewer = LeaseRenewer(worker_url, lambda: card, lease_seconds=1)
    heartbeat = renewer.hold(claim)
    heartbeat.alive_until = 0.0  # as after a silence longer than it announced
    with running(renewer.run):
        time.sleep(1.5)
        assert reaping.reap(fleet, crash_cap=3) == (job,)
        with pytest.raises(LeaseLost):
            heartbeat.check()


def test_a_process_that_stood_still_renews_what_nobody_has_taken(
    user: Database, fleet: Database, worker_url: str
) -> None:
    """Its turn goes on, though its lease ran out meanwhile; past two lengths of a lease it ends by itself."""
    put(user)
    card = WorkerRegistration(name="w1", host="h", pid=1, lanes=("gpu",), slots=1, model="m", version="0")
    claim = dispatch.claim(fleet, [Lane.GPU], "w1", "t", dispatch.ClaimRules(lease_seconds=1))
    assert claim is not None
    renewer = LeaseRenewer(worker_url, lambda: card, lease_seconds=1)
    heartbeat = renewer.hold(claim)
    time.sleep(1.2)
    heartbeat.check()
    held = heartbeat.renewed_at
    with running(renewer.run):
        until = time.monotonic() + 5
        while heartbeat.renewed_at == held and time.monotonic() < until:
            time.sleep(0.02)
        heartbeat.check()
    assert heartbeat.renewed_at > held
    assert reaping.reap(fleet, crash_cap=3) == ()
    heartbeat.renewed_at -= 2.5
    with pytest.raises(LeaseLost):
        heartbeat.check()
