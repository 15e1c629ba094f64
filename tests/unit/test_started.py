"""What follows from an answer that a job was submitted with: it is checked first, and each strategy goes on from it."""

from __future__ import annotations

import dataclasses

import pytest

from tasks.policy import (
    Aggregation,
    BestOfN,
    Climb,
    Correct,
    Evolve,
    Ladder,
    LoopRules,
    SelfConsistency,
    Single,
    decider,
    limits_of,
)
from tasks.ports import Strategy
from tasks.reasons import describe
from tasks.state import state_document
from tasks.store.codec import move_from_json, move_to_json
from tasks.types import (
    Candidate,
    CandidateRef,
    CheckSpec,
    Decision,
    Draft,
    Iteration,
    Job,
    Move,
    Mutate,
    Operator,
    Revise,
    Start,
    Stop,
    StopCode,
    Verdict,
    operator_of,
)
from tests.turns import job_of

RULES = LoopRules(width=2, move_up_after=3, escalate_after=9)
ANSWER = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
SCORE = CheckSpec(name="score", kind="score", value={"command": ["./e", "{candidate}"], "goal": "maximise"})
FIRST = CandidateRef(iteration=1, slot=0)
EVERY = [Single(), BestOfN(), SelfConsistency(), Correct(), Aggregation(), Ladder(), Evolve(), Climb()]


def decide(strategy: Strategy, job: Job) -> Decision:
    return decider(strategy, job).decide(job.history, limits_of(job, RULES))


def begun(check: CheckSpec, *, accepted: bool = False, value: float | None = None) -> Job:
    verdict = Verdict(check=check.name, kind=check.kind, passed=accepted, score=float(accepted), value=value)
    candidate = Candidate(
        ref=FIRST,
        operator=Operator.START,
        text="ANSWER: 41",
        root=FIRST,
        verdicts=(verdict,),
        score=float(accepted),
        accepted=accepted,
        fitness=value,
    )
    history = (Iteration(number=1, operator=Operator.START, candidates=(candidate,)),)
    return dataclasses.replace(job_of(checks=(check,), start="ANSWER: 41"), history=history)


@pytest.mark.parametrize("strategy", EVERY)
def test_it_is_checked_first_and_only_where_there_is_one(strategy: Strategy) -> None:
    assert isinstance(decide(strategy, job_of(checks=(ANSWER,), start="ANSWER: 41")), Start)
    assert isinstance(decide(strategy, job_of(checks=(ANSWER,))), Draft)


@pytest.mark.parametrize("strategy", EVERY)
def test_a_right_one_ends_the_job_and_a_wrong_one_does_not(strategy: Strategy) -> None:
    decisive = dataclasses.replace(ANSWER, held_out=True)
    end = decide(strategy, begun(decisive, accepted=True))
    assert isinstance(end, Stop)
    assert (end.code, end.detail) == (StopCode.ACCEPTED, "1.0")
    assert not isinstance(decide(strategy, begun(decisive)), Stop | Start)


def test_what_is_wrong_is_corrected_and_what_has_a_value_is_changed() -> None:
    correction = decide(Correct(), begun(ANSWER))
    assert isinstance(correction, Revise)
    assert correction.parents == (FIRST,)
    for strategy in (Evolve(), Climb()):
        change = decide(strategy, begun(SCORE, accepted=True, value=2.5))
        assert isinstance(change, Mutate)
        assert set(change.parents) == {FIRST}
        repair = decide(strategy, begun(SCORE))
        assert isinstance(repair, Revise)
        assert repair.parents == (FIRST,)


def test_after_a_change_of_the_checks_it_is_not_begun_with_again() -> None:
    job = begun(ANSWER)
    earlier = dataclasses.replace(job, history=(), earlier=job.history)
    assert not isinstance(decide(Correct(), earlier), Start)


def test_the_move_is_stored_shown_and_exported() -> None:
    move: Move = Start(why="the job begins with it")
    assert move_from_json(move_to_json(move)) == move
    assert operator_of(move) is Operator.START
    assert describe(move) == "start (the owner's answer): the job begins with it"
    job = job_of(checks=(ANSWER,), start="ANSWER: 41")
    document = state_document(job, limits_of(job, RULES), decider(Correct(), job))
    assert document["next"] == {"move": "start", "why": move.why, "words": describe(move)}
