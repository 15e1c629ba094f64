from __future__ import annotations

import pytest

from tasks.errors import LimitReached, PromptTooLong
from tasks.reasons import describe, explain, hours_and_minutes
from tasks.types import (
    Aggregate,
    Ask,
    CandidateRef,
    Decision,
    Draft,
    Escalate,
    JobState,
    Mutate,
    Probe,
    Revise,
    Stop,
    StopCode,
    Synthesise,
)

EXPLANATIONS = {
    "the budget of 1,500 completion tokens is spent": Stop(
        code=StopCode.BUDGET_COMPLETION_TOKENS, used=1_500, limit=1_500
    ),
    "candidate 2.1 passed every check": Stop(code=StopCode.ACCEPTED, detail="2.1"),
    "the budget of 2,000,000 tokens is spent (2,000,120 used)": Stop(
        code=StopCode.BUDGET_TOKENS, used=2_000_120, limit=2_000_000
    ),
    "candidate 2.1 passed every check, and 3 of 4 that did behave alike": Stop(
        code=StopCode.ACCEPTED, detail="2.1", used=3, limit=4
    ),
    "the budget of 30 iterations is spent": Stop(code=StopCode.BUDGET_ITERATIONS, used=30, limit=30),
    "the budget of 1 h 30 min is spent (2 h 5 min used)": Stop(code=StopCode.BUDGET_HOURS, used=2 + 5 / 60, limit=1.5),
    "the next call may take 50 local tokens and 20 of 100 are left": Stop(
        code=StopCode.BUDGET_LOCAL_TOKENS, used=80, limit=100, needed=50
    ),
    "the budget of 5,000 cloud tokens is spent": Stop(code=StopCode.BUDGET_CLOUD_TOKENS, used=5000, limit=5000),
    "the budget of 9 evaluations is spent": Stop(code=StopCode.BUDGET_EVALUATIONS, used=9, limit=9),
    "the budget of 600 GPU-seconds is spent": Stop(code=StopCode.BUDGET_GPU_SECONDS, used=600.0, limit=600.0),
    "the budget of 2.00 USD is spent": Stop(code=StopCode.BUDGET_USD, limit=2),
    "the next call may take 4,096 tokens and 1,200 of 2,000,000 are left": Stop(
        code=StopCode.BUDGET_TOKENS, used=1_998_800, limit=2_000_000, needed=4096
    ),
    "the next call may cost 0.50 USD and 0.25 of 2.00 are left": Stop(
        code=StopCode.BUDGET_USD, used=1.75, limit=2, needed=0.5
    ),
    "the next call may take 20 tokens and 10 of 100 that it shares with its batch are left": Stop(
        code=StopCode.BATCH_TOKENS, used=90, limit=100, needed=20
    ),
    "the budget of 2 h that it shares with its batch is spent (2 h 6 min used)": Stop(
        code=StopCode.BATCH_HOURS, used=2.1, limit=2
    ),
    "the shortest prompt has 5,000 tokens, and the model has room for 3,072": Stop(
        code=StopCode.CONTEXT, used=5000, limit=3072
    ),
    "its one draft was not accepted": Stop(code=StopCode.DRAFT_REJECTED),
    "the cloud model's answer was rejected like the local ones": Stop(code=StopCode.CLOUD_REJECTED),
    "no better score than 0.50 came in 10 iterations, over several fresh starts": Stop(
        code=StopCode.NO_GAIN, used=10, detail="0.50"
    ),
    "its best score rose by no more than 0.01 in 8 iterations": Stop(code=StopCode.PLATEAU, used=8, detail="0.01"),
    "candidate 4.0 passed every check with the score -2.5": Stop(code=StopCode.ACCEPTED, detail="4.0", value=-2.5),
    "candidate 4.0 has the best score, 0.1234567891; the budget of 30 iterations is spent": Stop(
        code=StopCode.ACCEPTED,
        detail="4.0",
        value=0.12345678912345,
        ended_by=StopCode.BUDGET_ITERATIONS,
        used=30,
        limit=30,
    ),
    "candidate 4.0 has the best score, 7; nothing better came in 8 iterations": Stop(
        code=StopCode.ACCEPTED, detail="4.0", value=7.0, ended_by=StopCode.PLATEAU, used=8
    ),
    "reviews found the problem impossible as posed: `a` is not `b`": Stop(
        code=StopCode.IMPOSSIBLE, detail="`a` is not `b`"
    ),
    "its strategy sees no further move: no idea is left": Stop(code=StopCode.GAVE_UP, detail="no idea is left"),
    "cancelled by its owner": Stop(code=StopCode.CANCELLED),
    "its worker died 3 times in a row with no iteration recorded between; the last was w": Stop(
        code=StopCode.CRASHES, used=3, detail="w"
    ),
    "8 faults in a row; the last: engine: hung up": Stop(
        code=StopCode.SERVICE_FAULTS, used=8, detail="engine: hung up"
    ),
    "strategy 'x' is not on this worker; 8 turns in a row found no worker that can go on with it": Stop(
        code=StopCode.MISSING_PLUGIN, used=8, detail="strategy 'x' is not on this worker"
    ),
    "a defect: ValueError: 7 (its events hold the traceback)": Stop(code=StopCode.DEFECT, detail="ValueError: 7"),
    "checks: 7 is stored": Stop(code=StopCode.MALFORMED, detail="checks: 7 is stored"),
    "the attachment a.png is not stored": Stop(
        code=StopCode.ATTACHMENT_LOST, detail="the attachment a.png is not stored"
    ),
    "another prompt": Stop(code=StopCode.JOURNAL_MISMATCH, detail="another prompt"),
}


@pytest.mark.parametrize(("text", "stop"), EXPLANATIONS.items(), ids=list(EXPLANATIONS))
def test_an_end_is_explained_in_one_line_with_numbers_for_people(text: str, stop: Stop) -> None:
    assert explain(stop) == text


def test_every_code_is_explained() -> None:
    assert {stop.code for stop in EXPLANATIONS.values()} == set(StopCode)


def test_every_code_ends_in_one_final_state() -> None:
    assert all(code.state.final for code in StopCode)
    by_state = {state: {code for code in StopCode if code.state is state} for state in JobState if state.final}
    assert by_state[JobState.ACCEPTED] == {StopCode.ACCEPTED}
    assert by_state[JobState.CANCELLED] == {StopCode.CANCELLED}
    assert by_state[JobState.QUARANTINED] == {StopCode.CRASHES}
    assert by_state[JobState.FAILED] == {
        StopCode.SERVICE_FAULTS,
        StopCode.MISSING_PLUGIN,
        StopCode.DEFECT,
        StopCode.MALFORMED,
        StopCode.ATTACHMENT_LOST,
        StopCode.JOURNAL_MISMATCH,
    }


@pytest.mark.parametrize(
    ("hours", "text"),
    [(0.0, "0 s"), (0.0125, "45 s"), (1 / 3, "20 min"), (1.5, "1 h 30 min"), (4, "4 h"), (0.9999999, "1 h")],
)
def test_hours_are_said_as_people_say_them(hours: float, text: str) -> None:
    assert hours_and_minutes(hours) == text


@pytest.mark.parametrize(
    ("decision", "text"),
    [
        (Draft(slots=2), "draft (2 slots)"),
        (Draft(slots=2, restart=True, why="3 revisions failed"), "restart (2 slots): 3 revisions failed"),
        (Revise(parents=(CandidateRef(iteration=1, slot=0), CandidateRef(iteration=2, slot=1))), "revise (1.0, 2.1)"),
        (Aggregate(parents=(CandidateRef(iteration=1, slot=0),), slots=2, why="x"), "aggregate (2 of 1.0): x"),
        (Synthesise(parents=(CandidateRef(iteration=1, slot=0),)), "synthesise (1.0)"),
        (Mutate(parents=(CandidateRef(iteration=1, slot=0),) * 2, why="2 islands"), "mutate (1.0, 1.0): 2 islands"),
        (Mutate(parents=(CandidateRef(iteration=1, slot=0),), edits=True), "edit (1.0)"),
        (Probe(why="2 pass, and 2 of them differ"), "probe (inputs): 2 pass, and 2 of them differ"),
        (Ask(why="nothing gets better"), "ask (its owner): nothing gets better"),
        (Escalate(why="10 iterations were rejected"), "escalate (answer): 10 iterations were rejected"),
        (Stop(code=StopCode.DRAFT_REJECTED), "stop (unsolved): its one draft was not accepted"),
    ],
)
def test_a_decision_is_described_in_a_few_words(decision: Decision, text: str) -> None:
    assert describe(decision) == text


def test_a_limit_carries_what_a_stop_needs() -> None:
    limit = LimitReached("tokens", 1_998_800, 2_000_000, needed=4096)
    assert (limit.code, limit.type, limit.value, limit.limit, limit.needed) == (
        StopCode.BUDGET_TOKENS,
        "tokens",
        1_998_800,
        2_000_000,
        4096,
    )
    assert "4,096" in str(limit)
    short = PromptTooLong(5000, 3072)
    assert (short.code, short.value, short.limit) == (StopCode.CONTEXT, 5000, 3072)
