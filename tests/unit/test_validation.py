"""Edits that don't apply are refused before any check runs; candidates with a score are evaluated side by side."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from tasks.judge_panel import NoJudgePanel
from tasks.prompts.layout import WHOLE, Shortener
from tasks.prompts.redact import feedback
from tasks.types import Candidate, CandidateRef, CheckSpec, Iteration, Mutate, OpenIteration, Operator, Verdict
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


SCORE = CheckSpec(name="score:e.py", kind="score", value={"goal": "maximise"})
DRAFTS = tuple(
    Candidate(ref=ref, operator=Operator.DRAFT, text=f"draft {ref.slot}", root=ref)
    for ref in (CandidateRef(iteration=2, slot=slot) for slot in range(3))
)


class Meeting:
    """Checks that measure a candidate's slot once so many evaluations are under way together."""

    def __init__(self, together: int, fails: str = "") -> None:
        self.under_way, self.most, self._fails = 0, 0, fails
        self._barrier, self._lock = threading.Barrier(together), threading.Lock()

    def validate(self, candidate: str, checks: Sequence[CheckSpec], heartbeat: Any) -> tuple[Verdict, ...]:
        with self._lock:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        self._barrier.wait(10)
        with self._lock:
            self.under_way -= 1
        if candidate == self._fails:
            raise RuntimeError("the sandbox is away")
        value = float(candidate.split()[1])
        return tuple(
            Verdict(check=check.name, kind=check.kind, passed=True, score=1.0, value=value) for check in checks
        )

    def behaviour(self, *args: object) -> None:
        return None

    def grade(self, verdicts: Sequence[Verdict], checks: Sequence[CheckSpec]) -> tuple[float, bool]:
        return 1.0, True


def validation_of(checks: Any, ledger: Kept) -> Validation:
    return Validation(ledger=ledger, checks=checks, judge_panel=NoJudgePanel())  # type: ignore[arg-type]


def test_candidates_with_a_score_are_evaluated_side_by_side_and_committed_in_their_order() -> None:
    job, ledger, checks = dataclasses.replace(job_of(checks=(SCORE,)), open=OPEN), Kept(), Meeting(3)
    checked = validation_of(checks, ledger).check(turn_of(job), OPEN, DRAFTS)
    assert checks.most == 3
    assert [candidate.fitness for candidate in checked] == [0.0, 1.0, 2.0]
    assert list(ledger.done) == [draft.ref for draft in DRAFTS]


def test_candidates_without_a_score_are_checked_one_after_another() -> None:
    command = CheckSpec(name="command", kind="command", value=["sh"])
    job, ledger, checks = dataclasses.replace(job_of(checks=(command,)), open=OPEN), Kept(), Meeting(1)
    validation_of(checks, ledger).check(turn_of(job), OPEN, DRAFTS)
    assert checks.most == 1
    assert list(ledger.done) == [draft.ref for draft in DRAFTS]


def test_what_was_evaluated_before_a_fault_is_kept_and_only_the_rest_is_evaluated_again() -> None:
    job, ledger = dataclasses.replace(job_of(checks=(SCORE,)), open=OPEN), Kept()
    with pytest.raises(RuntimeError, match="away"):
        validation_of(Meeting(3, fails="draft 1"), ledger).check(turn_of(job), OPEN, DRAFTS)
    assert list(ledger.done) == [DRAFTS[0].ref]
    kept, _ = ledger.done[DRAFTS[0].ref]
    opened = dataclasses.replace(OPEN, checked=frozenset({0}))
    checked = validation_of(Meeting(2), ledger).check(turn_of(job), opened, [kept, *DRAFTS[1:]])
    assert [candidate.fitness for candidate in checked] == [0.0, 1.0, 2.0]
