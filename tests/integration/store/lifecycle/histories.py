"""Jobs with a past, as several tests need them: handed in, held, and iterated with the scores that a test names."""

from __future__ import annotations

from sqlalchemy import text

from tasks.store import dispatch
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
    Decision,
    Draft,
    Iteration,
    JobSpec,
    Lane,
    Lesson,
    LessonKind,
    Message,
    Operator,
    Stop,
    StopCode,
    Verdict,
)

CHECK = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
REQUEST = ChatRequest(messages=(Message(role="user", content="?"),))
LESSON = Lesson(
    job=1, owner="alice", family="answer", kind=LessonKind.SUCCESS, situation="s", advice="a", avoid="", evidence="e"
)
SPENT = Stop(code=StopCode.BUDGET_ITERATIONS, used=2, limit=2)
WON = Stop(code=StopCode.ACCEPTED, acceptance=Acceptance.VERIFIED)


def put(user: Database, **fields: object) -> int:
    made = JobSpec(title="t", problem="p", checks=(CHECK,), tags=("x",), **fields)  # type: ignore[arg-type]
    return submit_jobs(user, [made])[0].job


def take(fleet: Database) -> Claim | None:
    return dispatch.claim(fleet, [Lane.GPU], "w", "turn", dispatch.ClaimRules(affinity_seconds=0))


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
