"""Pause, resume, retry and fork on a real Postgres: every transition, every owner, every race that has a name."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from sqlalchemy import text

from tasks.errors import Cancelled, InvalidInput, LeaseLost, NoSuchJob, Paused
from tasks.store import leases, verbs
from tasks.store.invariants import breaches
from tasks.store.keeper import Keeper, WorkerCard
from tasks.store.ledger import PostgresLedger
from tasks.store.past import load_job
from tasks.store.queries import job_history, job_summary, request_cancel, submit_jobs
from tasks.store.session import Database
from tasks.types import (
    Acceptance,
    Budget,
    CallKey,
    Candidate,
    CandidateRef,
    Changes,
    ChatRequest,
    CheckSpec,
    Claim,
    Completion,
    Decision,
    Draft,
    Iteration,
    JobSpec,
    JobState,
    Lane,
    Lesson,
    LessonKind,
    Message,
    Operator,
    Stop,
    Verdict,
)

pytestmark = pytest.mark.integration
CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
REQUEST = ChatRequest(messages=(Message(role="user", content="?"),))
LESSON = Lesson(
    job=1, owner="alice", family="answer", kind=LessonKind.SUCCESS, situation="s", advice="a", avoid="", evidence="e"
)
SPENT = Stop(state=JobState.UNSOLVED, why="the budget of 2 iterations is spent")
WON = Stop(state=JobState.ACCEPTED, why="every check passed", acceptance=Acceptance.VERIFIED)


@pytest.fixture
def worker_url(login: Callable[..., str]) -> str:
    return login("fleet", "redraft_worker")


@pytest.fixture
def fleet(worker_url: str) -> Iterator[Database]:
    with Database(worker_url) as database:
        yield database


@pytest.fixture
def ledger(fleet: Database) -> PostgresLedger:
    return PostgresLedger(fleet, fault_cap=3)


def put(user: Database, **fields: object) -> int:
    made = JobSpec(title="t", problem="p", checks=(CHECK,), tags=("x",), **fields)  # type: ignore[arg-type]
    return submit_jobs(user, [made])[0].job


def take(fleet: Database) -> Claim | None:
    return leases.claim(fleet, [Lane.GPU], "w", "turn", leases.ClaimRules(affinity_seconds=0))


def held(fleet: Database) -> Claim:
    claim = take(fleet)
    assert claim is not None
    return claim


def value(fleet: Database, job: int, what: str) -> object:
    with fleet.connect() as connection:
        query = f"SELECT {what} FROM jobs JOIN leases ON job_id = id WHERE id = :j"
        return connection.execute(text(query), {"j": job}).scalar_one()


def change(fleet: Database, statement: str) -> None:
    with fleet.begin() as connection:
        connection.execute(text(statement))


def iterate(ledger: PostgresLedger, claim: Claim, number: int, decision: Decision, *scores: float) -> None:
    """One recorded iteration with a candidate for each of `scores`, each from a call of 15 tokens."""
    made = []
    for slot, score in enumerate(scores):
        ref = CandidateRef(iteration=number, slot=slot)
        text_ = f"try {number}.{slot}"
        ledger.commit_call(
            claim,
            CallKey(iteration=number, operator=Operator.DRAFT, slot=slot, attempt=1),
            REQUEST,
            "h",
            Completion(
                text=text_,
                finish_reason="stop",
                model="m",
                prompt_tokens=10,
                cached_tokens=0,
                completion_tokens=5,
                seconds=0.1,
            ),
        )
        verdict = Verdict(check="answer", kind="answer", passed=score == 1.0, score=score, feedback="no")
        made.append(
            Candidate(
                ref=ref,
                operator=Operator.DRAFT,
                text=text_,
                root=ref,
                verdicts=(verdict,),
                score=score,
                accepted=score == 1.0,
            )
        )
    ledger.commit_candidates(claim, number, made)
    for candidate in made:
        ledger.commit_verdicts(claim, candidate, done=True)
    iteration = Iteration(number=number, operator=Operator.DRAFT, candidates=tuple(made))
    ledger.record(claim, iteration, decision, lane=Lane.GPU, lesson_due=False)


def run(
    fleet: Database,
    ledger: PostgresLedger,
    rounds: list[tuple[float, ...]],
    last: Decision = Draft(slots=2),  # noqa: B008
) -> None:
    """Records an iteration for each of `rounds`; the last one decides `last`."""
    for number, scores in enumerate(rounds, start=1):
        claim = held(fleet)
        if number == 1:
            ledger.begin(claim, 1, Draft(slots=len(scores)), (LESSON,))
        iterate(ledger, claim, number, last if number == len(rounds) else Draft(slots=2), *scores)


def test_a_waiting_job_is_paused_at_once_and_nobody_may_claim_it(user: Database, fleet: Database) -> None:
    job = put(user)
    assert verbs.request_pause(user, job) is JobState.PAUSED
    assert verbs.request_pause(user, job) is JobState.PAUSED
    assert take(fleet) is None
    assert leases.reap(fleet, crash_cap=3) == ()
    assert breaches(fleet) == ()
    assert verbs.resume(user, job) is JobState.QUEUED
    assert held(fleet).job == job


def test_a_held_job_is_paused_when_its_worker_gives_it_back(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    claim = held(fleet)
    assert verbs.request_pause(user, job) is JobState.RUNNING
    assert job_summary(user, job).pause_requested
    ledger.hand_over(claim, Lane.GPU)
    assert value(fleet, job, "state") == "paused"
    assert not job_summary(user, job).pause_requested
    assert take(fleet) is None
    assert breaches(fleet) == ()


def test_an_iteration_that_is_recorded_while_a_pause_is_asked_for_is_kept_and_parks_the_job(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    claim = held(fleet)
    ledger.begin(claim, 1, Draft(slots=1), ())
    verbs.request_pause(user, job)
    iterate(ledger, claim, 1, Draft(slots=2), 0.5)
    assert (value(fleet, job, "state"), value(fleet, job, "iterations"), take(fleet)) == ("paused", 1, None)


def test_a_job_that_ends_before_it_hears_the_pause_stays_ended(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    claim = held(fleet)
    verbs.request_pause(user, job)
    ledger.stop(claim, SPENT)
    assert verbs.request_pause(user, job) is JobState.UNSOLVED
    assert verbs.resume(user, job) is JobState.UNSOLVED
    assert value(fleet, job, "pause_requested_at") is None


def test_a_pause_that_is_withdrawn_leaves_the_job_to_its_worker(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    claim = held(fleet)
    verbs.request_pause(user, job)
    assert verbs.resume(user, job) is JobState.RUNNING
    ledger.hand_over(claim, Lane.GPU)
    assert held(fleet).job == job


def test_a_worker_that_dies_with_a_pause_asked_for_leaves_a_paused_job(user: Database, fleet: Database) -> None:
    job = put(user)
    held(fleet)
    verbs.request_pause(user, job)
    change(fleet, "UPDATE leases SET lease_until = now() - interval '1 s'")
    assert leases.reap(fleet, crash_cap=3) == (job,)
    assert (value(fleet, job, "state"), take(fleet)) == ("paused", None)
    assert leases.reap(fleet, crash_cap=3) == ()


def test_a_paused_job_can_be_cancelled_and_a_cancel_goes_before_a_pause(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    verbs.request_pause(user, job)
    assert request_cancel(user, job) is JobState.CANCELLED
    assert verbs.resume(user, job) is JobState.CANCELLED
    both = put(user)
    claim = held(fleet)
    verbs.request_pause(user, both)
    request_cancel(user, both)
    ledger.hand_over(claim, Lane.GPU)  # before the worker heard of either
    assert held(fleet).job == both  # and will hear of the cancel


def test_the_keeper_hears_a_pause_and_its_withdrawal(user: Database, fleet: Database, worker_url: str) -> None:
    job = put(user)
    card = WorkerCard(name="w", host="h", pid=1, lanes=("gpu",), slots=1, model="m", version="0")
    claim = leases.claim(fleet, [Lane.GPU], "w", "t", leases.ClaimRules(lease_seconds=1))
    assert claim is not None
    keeper = Keeper(worker_url, lambda: card, lease_seconds=1)
    keeper.start()
    pulse = keeper.hold(claim)

    def becomes(paused: bool) -> None:
        deadline = time.monotonic() + 10
        while pulse.paused is not paused and time.monotonic() < deadline:
            time.sleep(0.02)

    try:
        verbs.request_pause(user, job)
        becomes(True)
        with pytest.raises(Paused):
            pulse.check()
        verbs.resume(user, job)
        becomes(False)
        pulse.check()
        verbs.request_pause(user, job)
        request_cancel(user, job)
        becomes(True)
        deadline = time.monotonic() + 10
        while not pulse.cancelled and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(Cancelled):
            pulse.check()
    finally:
        keeper.stop()


def test_hours_stand_still_while_a_job_is_paused_or_ended(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    ledger.hand_over(held(fleet), Lane.GPU)
    verbs.request_pause(user, job)
    change(fleet, "UPDATE jobs SET started_at = now() - interval '3 h', paused_at = now() - interval '2 h'")
    assert load_job(user, job).idle_seconds == pytest.approx(7200, abs=60)
    assert job_summary(user, job).idle_seconds == pytest.approx(7200, abs=60)
    verbs.resume(user, job)
    assert job_summary(user, job).idle_seconds == pytest.approx(7200, abs=60)
    ledger.stop(held(fleet), Stop(state=JobState.FAILED, why="a fault"))
    change(fleet, "UPDATE jobs SET finished_at = now() - interval '1 h'")
    assert load_job(user, job).idle_seconds == pytest.approx(10800, abs=60)
    verbs.retry(user, job, Changes())
    assert ledger.load(held(fleet)).idle_seconds == pytest.approx(10800, abs=60)


@pytest.mark.parametrize("verb", [verbs.request_pause, verbs.resume])
def test_nobody_pauses_or_resumes_what_is_anothers(
    user: Database, fleet: Database, login: Callable[..., str], verb: Callable[..., JobState]
) -> None:
    job = put(user)
    with Database(login("eve")) as eve:
        for number in (job, 999):
            with pytest.raises(NoSuchJob):
                verb(eve, number)
    assert value(fleet, job, "state") == "queued"


def test_nobody_retries_forks_or_reads_what_is_anothers(
    user: Database, fleet: Database, ledger: PostgresLedger, login: Callable[..., str]
) -> None:
    job = put(user)
    run(fleet, ledger, [(0.5,)], Stop(state=JobState.FAILED, why="a fault"))
    with Database(login("eve")) as eve:
        with pytest.raises(NoSuchJob):
            verbs.retry(eve, job, Changes())
        with pytest.raises(NoSuchJob):
            verbs.fork(eve, job, 1, Changes())
        with pytest.raises(NoSuchJob):
            load_job(eve, job)
    assert value(fleet, job, "state") == "failed"
    assert value(fleet, job, "(SELECT count(*) FROM jobs)") == 1


@pytest.mark.parametrize("state", ["failed", "quarantined", "cancelled"])
def test_a_finished_job_is_tried_again_from_where_it_stood(
    user: Database, fleet: Database, ledger: PostgresLedger, state: str
) -> None:
    job = put(user)
    run(fleet, ledger, [(0.5,)])
    change(fleet, "UPDATE jobs SET crashes = 2, faults = 2")
    ledger.stop(held(fleet), Stop(state=JobState(state), why="why"))
    change(fleet, "UPDATE jobs SET cancel_requested_at = now()")
    assert verbs.retry(user, job, Changes()) is JobState.QUEUED
    assert value(fleet, job, "num_nulls(cancel_requested_at, finished_at)") == 2
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
        verbs.retry(user, job, Changes())
    run(fleet, ledger, [(1.0,)], WON)
    with pytest.raises(InvalidInput, match="it was accepted"):
        verbs.retry(user, job, Changes())
    assert value(fleet, job, "state") == "accepted"


def test_a_spent_budget_is_named_with_what_to_type(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user, budget=Budget(iterations=2, tokens=1000))
    run(fleet, ledger, [(0.5,), (0.5,)], SPENT)
    with pytest.raises(InvalidInput) as refused:
        verbs.retry(user, job, Changes(tokens=5000))
    assert str(refused.value) == (
        f"budget: 'iterations=2' is not allowed; that is spent; give more: `redraft retry {job} --budget iterations=4`"
    )
    with pytest.raises(InvalidInput, match=r"budget.iterations: 1 is not allowed; at least the 2 that it has"):
        verbs.retry(user, job, Changes(iterations=1))
    assert value(fleet, job, "budget_tokens") == 1000  # a refusal changes nothing
    assert verbs.retry(user, job, Changes(iterations=3, usd=Decimal("2.50"))) is JobState.QUEUED
    assert job_summary(user, job).budget == Budget(iterations=3, tokens=1000, usd=Decimal("2.50"))
    assert ledger.load(held(fleet)).open is None  # the loop decides anew


@pytest.mark.parametrize(
    ("spent", "unit"),
    [
        ("UPDATE jobs SET started_at = now() - interval '5 h'", "hours=4"),
        ("UPDATE jobs SET started_at = now() - interval '10 h', idle_seconds = 18000", "hours=4"),
        ("UPDATE jobs SET local_tokens = budget_tokens", "tokens=2000000"),
        ("UPDATE jobs SET reason = 'the budget of 2e+06 tokens is spent (1.9e+06 used)'", "tokens=2000000"),
        ("UPDATE jobs SET reason = 'the budget of 2 usd is spent (1.99 used)'", "usd=2"),
    ],
)
def test_each_unit_of_the_budget_can_be_what_is_spent(
    user: Database, fleet: Database, ledger: PostgresLedger, spent: str, unit: str
) -> None:
    job = put(user)
    ledger.stop(held(fleet), Stop(state=JobState.UNSOLVED, why="why"))
    change(fleet, spent)
    with pytest.raises(InvalidInput, match=f"'{unit}' is not allowed; that is spent"):
        verbs.retry(user, job, Changes())
    name = unit.split("=", maxsplit=1)[0]
    more = {"hours": 8.0, "tokens": 4_000_000, "usd": Decimal(4)}[name]
    assert verbs.retry(user, job, Changes(**{name: more})) is JobState.QUEUED  # type: ignore[arg-type]


def test_idle_hours_are_not_spent(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user)
    ledger.stop(held(fleet), Stop(state=JobState.FAILED, why="why"))
    change(fleet, "UPDATE jobs SET started_at = now() - interval '8 h', idle_seconds = 18000")
    assert verbs.retry(user, job, Changes()) is JobState.QUEUED


def test_a_fork_begins_with_the_iterations_it_was_asked_for_and_nothing_spent(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, key="k", seed=7)
    run(fleet, ledger, [(0.2, 0.5), (0.5, 0.1), (0.75,), (0.8,)])
    change(fleet, "UPDATE leases SET runnable = false")  # the original stands aside
    forked = verbs.fork(user, job, 3, Changes())
    claim = held(fleet)
    assert claim.job == forked
    old, new = load_job(user, job), ledger.load(claim)
    assert new.history == old.history[:3]
    assert (new.lessons, new.open) == ((LESSON,), None)
    assert (new.spend.local_tokens, new.spend.engine_seconds) == (0, 0.0)
    assert new.incumbent is not None
    assert (new.incumbent.ref, new.incumbent.score) == (CandidateRef(iteration=3, slot=0), 0.75)
    assert new.spec.key is None
    assert new.spec.seed != old.spec.seed
    assert (new.spec.title, new.spec.checks, new.spec.tags, new.owner) == ("t", (CHECK,), ("x",), "alice")
    assert [row.candidate for row in job_history(user, forked)] == ["try 1.1", "try 2.0", "try 3.0"]
    assert value(fleet, forked, "(forked_from, forked_iteration)::text") == f"({job},3)"
    iterate_from = Draft(slots=1)
    ledger.begin(claim, 4, iterate_from, ())
    iterate(ledger, claim, 4, Stop(state=JobState.UNSOLVED, why="enough"), 0.3)
    change(fleet, "UPDATE leases SET runnable = true WHERE job_id = (SELECT min(id) FROM jobs)")
    assert breaches(fleet, submitted=[job, forked]) == ()
    assert job_summary(user, forked).answer == "try 3.0"


def test_of_equal_candidates_a_fork_keeps_the_earlier(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user)
    run(fleet, ledger, [(0.2, 0.5), (0.5, 0.1), (0.9,)])
    forked = verbs.fork(user, job, 2, Changes())
    summary = job_summary(user, forked)
    assert (summary.answer, summary.answer_iteration, summary.score) == ("try 1.1", 1, 0.5)
    again = verbs.fork(user, forked, 1, Changes())  # a fork of a fork
    assert job_summary(user, again).answer == "try 1.1"
    assert breaches(fleet) == ()


def test_a_fork_takes_changes_and_two_forks_differ(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user, seed=2**31 - 1)
    run(fleet, ledger, [(0.2,)])
    one = verbs.fork(user, job, 1, Changes())
    two = verbs.fork(user, job, 1, Changes(seed=5, strategy="best_of_n", iterations=9, hours=1.5, tokens=7))
    specs = [load_job(user, number).spec for number in (one, two)]
    assert specs[0].seed not in (2**31 - 1, 5)
    assert 0 <= specs[0].seed < 2**31
    assert (specs[1].seed, specs[1].strategy) == (5, "best_of_n")
    assert specs[1].budget == Budget(iterations=9, hours=1.5, tokens=7)
    assert specs[0].budget == Budget()


@pytest.mark.parametrize(
    ("upto", "said"),
    [(0, "from 1 to 3"), (4, "from 1 to 3"), (3, "iteration 3 of job [0-9]+ holds the accepted answer")],
)
def test_a_fork_from_where_there_is_nothing_to_do_is_refused(
    user: Database, fleet: Database, ledger: PostgresLedger, upto: int, said: str
) -> None:
    job = put(user)
    with pytest.raises(InvalidInput, match="has recorded no iteration yet"):
        verbs.fork(user, job, 1, Changes())
    run(fleet, ledger, [(0.2,), (0.5,), (1.0,)], WON)
    with pytest.raises(InvalidInput, match=said):
        verbs.fork(user, job, upto, Changes())
    assert value(fleet, job, "(SELECT count(*) FROM jobs)") == 1


def test_a_fork_that_could_not_begin_an_iteration_is_refused(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, budget=Budget(iterations=2))
    run(fleet, ledger, [(0.2,), (0.5,)], SPENT)
    with pytest.raises(InvalidInput) as refused:
        verbs.fork(user, job, 2, Changes())
    assert str(refused.value) == (
        "budget: 'iterations=2' is not allowed; the fork begins with 2 iterations; give more: "
        f"`redraft fork {job} --from 2 --budget iterations=4`"
    )
    assert verbs.fork(user, job, 2, Changes(iterations=3)) == job + 1


def test_what_the_loop_loads_is_what_its_owner_reads(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user)
    run(fleet, ledger, [(0.2, 0.5), (0.3,)])
    loaded = ledger.load(held(fleet))
    assert loaded == load_job(user, job)
    assert len(loaded.history) == 2


def test_pauses_claims_and_reaps_at_once_lose_nothing(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    mine = [put(user) for _ in range(3)]
    stop = threading.Event()

    def steer() -> None:
        for turn in range(60):
            (verbs.request_pause if turn % 2 else verbs.resume)(user, mine[turn % 3])

    def work() -> None:
        for turn in itertools.count():
            if stop.is_set():
                return
            claim = take(fleet)
            if claim is None:
                continue
            if turn % 3 == 0:
                change(fleet, f"UPDATE leases SET lease_until = now() - interval '1 s' WHERE job_id = {claim.job}")
            else:
                with contextlib.suppress(LeaseLost):
                    ledger.hand_over(claim, Lane.GPU)

    def reap() -> None:
        while not stop.is_set():
            leases.reap(fleet, crash_cap=1_000)

    with ThreadPoolExecutor(5) as pool:
        steering = [pool.submit(steer) for _ in range(2)]
        others = [pool.submit(work), pool.submit(work), pool.submit(reap)]
        for done in steering:
            done.result()
        stop.set()
        for done in others:
            done.result()
    change(fleet, "UPDATE leases SET lease_until = now() - interval '1 s' WHERE worker IS NOT NULL")
    leases.reap(fleet, crash_cap=1_000)
    assert breaches(fleet, submitted=mine) == ()
    change(fleet, "UPDATE jobs SET crashes = 0")  # else a worker takes such suspects one at a time
    for job in mine:
        verbs.request_pause(user, job)
    assert take(fleet) is None
    for job in mine:
        assert verbs.resume(user, job) is JobState.QUEUED
    assert {held(fleet).job for _ in mine} == set(mine)
