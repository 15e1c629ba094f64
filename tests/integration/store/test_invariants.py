"""Each invariant is silent on a run of the loop, and names what is broken by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text

from tasks.store import dispatch
from tasks.store.invariants import INVARIANTS, breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import (
    Acceptance,
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

pytestmark = pytest.mark.integration
CHECKS = (
    CheckSpec(name="answer", kind="answer", value={"exact": "42"}),
    CheckSpec(name="hidden", kind="answer", value={"exact": "42"}, held_out=True),
)
REQUEST = ChatRequest(messages=(Message(role="user", content="?"),))


@pytest.fixture
def admin(admin_url: str) -> Iterator[Database]:
    """Sees and may break everything."""
    with Database(admin_url) as database:
        yield database


@pytest.fixture
def job(login: Callable[..., str], admin: Database) -> int:
    """One that was rejected once and then accepted, each iteration under an epoch of its own."""
    with Database(login("alice")) as user:
        number = submit_jobs(user, [JobSpec(title="t", problem="p", checks=CHECKS)])[0].job
    with Database(login("fleet", "redraft_worker")) as fleet:
        ledger = PostgresLedger(fleet, fault_cap=8)
        first, second = Draft(slots=1), Draft(slots=1, restart=True)
        claim = take(fleet)
        ledger.begin(claim, 1, first, ())
        ledger.record(
            claim, attempt(ledger, claim, 1, Operator.DRAFT, passed=False), second, lane=Lane.GPU, lesson_due=False
        )
        claim = take(fleet)
        stop = Stop(code=StopCode.ACCEPTED, acceptance=Acceptance.VERIFIED)
        ledger.record(
            claim, attempt(ledger, claim, 2, Operator.RESTART, passed=True), stop, lane=Lane.GPU, lesson_due=False
        )
    return number


def take(fleet: Database) -> Claim:
    claim = dispatch.claim(fleet, [Lane.GPU], "w", "turn", dispatch.ClaimRules(affinity_seconds=0))
    assert claim is not None
    return claim


def attempt(ledger: PostgresLedger, claim: Claim, number: int, operator: Operator, *, passed: bool) -> Iteration:
    """A call, its candidate and its verdicts, committed as the loop does it."""
    key = CallKey(iteration=number, operator=operator, slot=0, attempt=1)
    ref = CandidateRef(iteration=number, slot=0)
    made = Completion(
        text=f"try {number}",
        finish_reason="stop",
        model="m",
        prompt_tokens=10,
        cached_tokens=0,
        completion_tokens=5,
        seconds=0.1,
    )
    ledger.reserve(claim, key, 20)
    ledger.commit_call(claim, key, REQUEST, "hash", made)
    verdicts = tuple(
        Verdict(check=check.name, kind=check.kind, passed=passed, score=float(passed), held_out=check.held_out)
        for check in CHECKS
    )
    plain = Candidate(ref=ref, operator=operator, text=made.text, root=ref)
    ledger.commit_candidates(claim, number, [plain])
    judged = Candidate(
        ref=ref,
        operator=operator,
        text=made.text,
        root=ref,
        verdicts=verdicts,
        score=float(passed),
        accepted=passed,
    )
    ledger.commit_verdicts(claim, judged, done=True)
    return Iteration(number=number, operator=operator, candidates=(judged,))


def test_a_clean_run_keeps_every_promise(admin: Database, job: int) -> None:
    assert breaches(admin, submitted=[job], drained=True) == ()


def test_a_job_that_is_not_there_is_lost_and_one_that_has_not_ended_is_told_of_after_the_drain(
    admin: Database, login: Callable[..., str], job: int
) -> None:
    with Database(login("alice")) as user:
        waiting = submit_jobs(user, [JobSpec(title="t", problem="p", checks=CHECKS)])[0].job
    assert breaches(admin, submitted=[job, waiting]) == ()
    lost, late = breaches(admin, submitted=[job, waiting, 999], drained=True)
    assert (lost.invariant, lost.job) == ("I1 no job is lost", 999)
    assert (late.invariant, late.job, late.what) == ("I1 every job comes to an end", waiting, "it is still queued")


ESCALATED = "INSERT INTO escalations (job_id, iteration, kind, model, state, request, reserved_usd)"
BATCH = "INSERT INTO batches (owner, budget_tokens, tokens)"
BROKEN = {
    "a hint is used once": (
        "INSERT INTO hints (job_id, text, given_by, iteration, taken_at) SELECT id, 'x', 'alice', 9, now() FROM jobs",
        "INSERT INTO hints (job_id, text, given_by, iteration, taken_at) SELECT id, 'x', 'alice', 1, now() FROM jobs",
    ),
    "a question is answered once": (
        "UPDATE jobs SET state = 'needs_input'",
        "INSERT INTO questions (job_id, iteration, text, answer_until) SELECT id, 1, '?', now() FROM jobs",
    ),
    "I1 no job is stranded": (
        "UPDATE jobs SET state = 'running'",
        "UPDATE leases SET runnable = true",
        "UPDATE jobs SET state = 'paused'; UPDATE leases SET runnable = true",
        "UPDATE jobs SET state = 'paused'; UPDATE leases SET worker = 'w'",
        "UPDATE jobs SET lesson_due = true",
        "UPDATE jobs SET state = 'queued', lesson_due = true; UPDATE leases SET runnable = true",
    ),
    "I2 nothing is committed twice": (
        "ALTER TABLE calls DROP CONSTRAINT calls_once; INSERT INTO calls (job_id, iteration, operator, slot, attempt, "
        "model, request, prompt_hash, text, finish_reason, prompt_tokens, cached_tokens, completion_tokens, seconds, "
        "worker, epoch) SELECT job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text, "
        "finish_reason, 0, 0, 0, 0, worker, epoch FROM calls WHERE iteration = 2",
        "UPDATE calls SET operator = 'escalate', set_aside = 1 WHERE iteration = 2",
    ),
    "I2 iterations have no gap": (
        "DELETE FROM iterations WHERE number = 1",
        "UPDATE jobs SET iterations = 1",
        "UPDATE iterations SET finished_at = NULL WHERE number = 1",
    ),
    "I2 candidates come from the journal": (
        "UPDATE calls SET text = 'another' WHERE iteration = 1",
        "UPDATE candidates SET text = 'another' WHERE iteration = 1",
        "UPDATE jobs SET forked_from = 999, forked_iteration = 1",
    ),
    "I3 epochs never go back": (
        "UPDATE calls SET epoch = 1 WHERE iteration = 2; UPDATE calls SET epoch = 2 WHERE iteration = 1",
        "UPDATE iterations SET epoch = 3 WHERE number = 1",
        "UPDATE verdicts SET epoch = 2 WHERE iteration = 1",
        "UPDATE verdicts SET epoch = 0 WHERE iteration = 2",
        "UPDATE leases SET epoch = 1",
        f"{ESCALATED} VALUES (1, 1, 'answer', 'm', 'refused', '{{}}', 0); UPDATE escalations SET epoch = 3",
    ),
    "I4 no answer is to another question": (
        "UPDATE jobs SET state = 'failed', stop_code = 'journal_mismatch'",
        "UPDATE jobs SET lesson_stop_code = 'journal_mismatch'",
    ),
    "an end has a code": (
        "UPDATE jobs SET stop_code = NULL",
        "UPDATE jobs SET state = 'running'; UPDATE leases SET runnable = true",
    ),
    "I4 a score follows from the verdicts": (
        "UPDATE candidates SET accepted = true WHERE iteration = 1",
        "UPDATE candidates SET score = 0.5 WHERE iteration = 2",
        "DELETE FROM verdicts WHERE iteration = 2 AND check_name = 'hidden'",
    ),
    "I4 a move follows from the decision": (
        "UPDATE iterations SET next_operator = 'revise' WHERE number = 1",
        "UPDATE iterations SET next_operator = NULL, stop_code = 'gave_up' WHERE number = 1",
        "UPDATE jobs SET state = 'unsolved'",
        "UPDATE jobs SET state = 'cancelled', stop_code = 'cancelled'; "
        "UPDATE iterations SET stop_code = 'gave_up' WHERE number = 2",
    ),
    "I5 no budget is passed": (
        "UPDATE jobs SET budget_tokens = 29",
        "UPDATE jobs SET spent_usd = budget_usd + 0.01",
        "UPDATE jobs SET budget_iterations = 1",
    ),
    "I5 spend is the sum of the calls": (
        "UPDATE calls SET completion_tokens = 6 WHERE iteration = 1",
        "DELETE FROM calls WHERE iteration = 1",
        "UPDATE jobs SET cloud_tokens = 1",
        "UPDATE jobs SET spent_usd = 0.01",
        "UPDATE calls SET operator = 'escalate' WHERE iteration = 1",
    ),
    "I5 what passes a reservation is known": (
        "UPDATE jobs SET over_usd = 0.01",
        "UPDATE jobs SET over_local_tokens = local_tokens + 1",
        "UPDATE jobs SET over_cloud_tokens = -1",
        f"{ESCALATED} VALUES (1, 1, 'answer', 'm', 'failed', '{{}}', 0.1); "
        "UPDATE escalations SET usd = 0.2, finished_at = now()",
    ),
    "I5 what is reserved fits too": (
        f"{ESCALATED} VALUES (1, 1, 'answer', 'm', 'intent', '{{}}', 2.5)",
        f"UPDATE jobs SET spent_usd = 1.9; {ESCALATED} VALUES (1, 1, 'answer', 'm', 'unsent', '{{}}', 0.2)",
        "INSERT INTO reservations VALUES (1, 2, 3, 'draft', 0, 1, 2000000)",
    ),
    "I5 a batch is charged what its jobs are": (
        f"{BATCH} VALUES ('alice', 1000, 29); UPDATE jobs SET batch_id = 1",
        f"{BATCH} VALUES ('alice', 29, 30); UPDATE jobs SET batch_id = 1",
        f"{BATCH} VALUES ('alice', 49, 30); UPDATE jobs SET batch_id = 1; UPDATE leases SET worker = 'w'; "
        "INSERT INTO reservations VALUES (1, 2, 3, 'draft', 0, 1, 20)",
    ),
    "I6 one decision is at most one request": (
        "ALTER TABLE escalations DROP CONSTRAINT escalations_once; "
        f"{ESCALATED} VALUES (1, 1, 'answer', 'm', 'refused', '{{}}', 0), (1, 1, 'answer', 'm', 'failed', '{{}}', 0)",
        f"{ESCALATED} VALUES (1, 1, 'answer', 'm', 'done', '{{}}', 0), (1, 2, 'answer', 'm', 'done', '{{}}', 0); "
        "UPDATE escalations SET response_id = 'resp_1'",
        f"{ESCALATED} VALUES (1, 1, 'answer', 'm', 'running', '{{}}', 0)",
        f"{ESCALATED} VALUES (1, 1, 'answer', 'm', 'intent', '{{}}', 0); UPDATE escalations SET response_id = 'resp_1'",
        f"{ESCALATED} VALUES (1, 1, 'answer', 'm', 'unknown', '{{}}', 0.5)",
    ),
    "what must stay at home stays": (
        f"UPDATE jobs SET egress = 'never'; {ESCALATED} VALUES (1, 1, 'answer', 'm', 'refused', '{{}}', 0)",
    ),
    "the incumbent is never lost": (
        "UPDATE candidates SET score = 1.5 WHERE iteration = 1",
        "UPDATE jobs SET answer = 'another'",
        "UPDATE jobs SET answer_slot = 7",
    ),
    "accepted means every check passed": (
        "UPDATE verdicts SET passed = false WHERE iteration = 2 AND held_out",
        "DELETE FROM verdicts WHERE iteration = 2 AND check_name = 'hidden'",
        "UPDATE jobs SET acceptance = NULL",
    ),
}


def test_every_invariant_is_broken_by_a_test() -> None:
    assert set(BROKEN) == {invariant.name for invariant in INVARIANTS}
    numbers = {name[:2] for name in BROKEN if name[0] == "I"}
    assert numbers == {"I1", "I2", "I3", "I4", "I5", "I6"}, "each of the design's is there"


@pytest.mark.parametrize(("name", "damage"), [(name, damage) for name, many in BROKEN.items() for damage in many])
def test_a_broken_promise_is_named_with_its_job(admin: Database, job: int, name: str, damage: str) -> None:
    with admin.begin() as connection:
        connection.execute(text(damage))
    assert (name, job) in {(breach.invariant, breach.job) for breach in breaches(admin)}
