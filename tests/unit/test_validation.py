"""Edits that don't apply are refused before any check runs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tasks.judge_panel import NoJudgePanel
from tasks.prompts.layout import WHOLE, Shortener
from tasks.prompts.redact import feedback
from tasks.types import Candidate, CandidateRef, CheckSpec, Iteration, Mutate, OpenIteration, Operator
from tasks.validation import Validation, is_unjudged
from tasks.validators.checks import RegisteredChecks
from tests.doubles import NoSandbox
from tests.turns import job_of, turn_of

HIDDEN = CheckSpec(name="answer#2", kind="answer", value={"regex": "[0-9]+"}, held_out=True)
VISIBLE = CheckSpec(name="answer", kind="answer", value={"exact": "42"})
JUDGE = CheckSpec(name="judge", kind="judge", value="Is it polite?")
REF = CandidateRef(iteration=1, slot=0)
PARENT = Candidate(ref=REF, operator=Operator.DRAFT, text="It is\nANSWER: 7", root=REF)
EDIT = Candidate(
    ref=CandidateRef(iteration=2, slot=0),
    operator=Operator.EDIT,
    text="<<<<<<< SEARCH\nANSWER: 8\n=======\nANSWER: 42\n>>>>>>> REPLACE",
    root=REF,
    parent=REF,
    revision=1,
)
OPEN = OpenIteration(number=2, move=Mutate(parents=(REF,), edits=True))


class Kept:
    """The part of a ledger that keeps verdicts."""

    def __init__(self) -> None:
        self.done: dict[CandidateRef, tuple[Candidate, bool]] = {}

    def commit_verdicts(self, claim: Any, candidate: Candidate, *, done: bool) -> None:
        self.done[candidate.ref] = candidate, done


@pytest.mark.parametrize("checks", [(HIDDEN, VISIBLE), (HIDDEN,), (JUDGE,)])
def test_edits_that_do_not_apply_are_a_rejected_candidate_with_one_reason(checks: tuple[CheckSpec, ...]) -> None:
    history = (Iteration(number=1, operator=Operator.DRAFT, candidates=(PARENT,)),)
    job = dataclasses.replace(job_of(checks=checks), history=history, open=OPEN)
    ledger = Kept()
    validation = Validation(
        ledger=ledger,  # type: ignore[arg-type]
        checks=RegisteredChecks(sandbox=NoSandbox()),
        judge_panel=NoJudgePanel(),
    )
    look = validation.judge if checks == (JUDGE,) else validation.check
    (refused,) = look(turn_of(job), OPEN, [EDIT])
    (verdict,) = refused.verdicts
    assert (verdict.passed, refused.accepted, refused.score) == (False, False, 0.0)
    assert verdict.feedback == "An edit fits nowhere: the file does not have `ANSWER: 8`."
    assert verdict.feedback in feedback(job, refused, Shortener(WHOLE)), "the model is told, whatever is held out"
    assert refused.text == EDIT.text
    assert ledger.done == {EDIT.ref: (refused, True)}
    assert not is_unjudged(job, OPEN, refused)


def test_edits_that_applied_are_checked_as_the_whole_answer_that_they_made() -> None:
    job = dataclasses.replace(job_of(checks=(VISIBLE,)), open=OPEN)
    ledger = Kept()
    validation = Validation(
        ledger=ledger,  # type: ignore[arg-type]
        checks=RegisteredChecks(sandbox=NoSandbox()),
        judge_panel=NoJudgePanel(),
    )
    (right,) = validation.check(turn_of(job), OPEN, [dataclasses.replace(EDIT, text="It is\nANSWER: 42")])
    assert right.accepted
