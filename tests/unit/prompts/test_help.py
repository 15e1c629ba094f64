"""What leaves with each kind of request for help: enough to advise, and nothing that must stay."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from tasks.prompts import build, help, redact
from tasks.types import (
    Candidate,
    CandidateRef,
    CheckSpec,
    EscalationKind,
    Hint,
    HintSource,
    Iteration,
    Job,
    Lesson,
    LessonKind,
    Operator,
)
from tests.unit.prompts.cases import ANSWER, HIDDEN, VISIBLE, failed, job_of

LESSON = Lesson(
    job=7, owner="a", family="f", kind=LessonKind.SUCCESS, situation="of job 7", advice="x", avoid="", evidence=""
)
SCORE = CheckSpec(name="score:s.py", kind="score", value={"goal": "minimise"})


def tried(number: int, text: str, score: float = 0.0) -> Iteration:
    ref = CandidateRef(iteration=number, slot=0)
    verdicts = failed(VISIBLE, f"assert {number} == 5"), failed(HIDDEN, "assert 11 == -3")
    made = Candidate(ref=ref, operator=Operator.DRAFT, text=text, root=ref, score=score, verdicts=verdicts)
    return Iteration(number=number, operator=Operator.DRAFT, candidates=(made,))


def stuck(*history: Iteration) -> Job:
    return dataclasses.replace(job_of(VISIBLE, HIDDEN), history=history, lessons=(LESSON,))


PAST = [tried(n, f"Plan: way {n}\nanswer number {n}", n / 10) for n in range(1, 8)]


def sent(job: Job, kind: EscalationKind) -> str:
    return help.ask(job, kind)[1].content


def test_a_first_hint_is_asked_for_with_the_plans_alone() -> None:
    text = sent(stuck(*PAST), EscalationKind.HINT)
    assert text.startswith("# Problem: Addition\nAdd two numbers.")
    assert "- way 3\n- way 4\n- way 5\n- way 6\n- way 7\n" in text
    assert "way 2" not in text
    assert "answer number" not in text
    assert text.endswith(build.HINT_ORDER)


def test_a_second_hint_is_asked_for_with_the_best_candidate_and_its_visible_verdicts() -> None:
    text = sent(stuck(*PAST), EscalationKind.HINT_ON_BEST)
    assert [n for n in range(1, 8) if f"answer number {n}" in text] == [7]
    assert "assert 7 == 5" in text
    assert redact.HIDDEN_FAILED in text
    assert text.endswith(build.HINT_ORDER)


@pytest.mark.parametrize("kind", [EscalationKind.HINT, EscalationKind.HINT_ON_BEST])
def test_where_nothing_was_tried_that_can_be_shown_advice_is_asked_for_all_the_same(kind: EscalationKind) -> None:
    text = sent(stuck(), kind)
    assert "What was tried" not in text
    assert text.endswith(build.HINT_ORDER)


@pytest.mark.parametrize("kind", EscalationKind)
def test_neither_what_is_held_out_nor_a_lesson_of_another_job_leaves(kind: EscalationKind) -> None:
    text = sent(stuck(*PAST), kind)
    for word in ("hidden.py", "assert 11", "-7, 4", "of job 7", "earlier jobs"):
        assert word not in text


@pytest.mark.parametrize("kind", EscalationKind)
def test_earlier_advice_goes_along(kind: EscalationKind) -> None:
    given = Hint(source=HintSource.CLOUD, text="Mind the sign.", by="m", at=datetime(2026, 1, 1, tzinfo=UTC))
    assert "Mind the sign." in sent(dataclasses.replace(stuck(*PAST), hints=(given,)), kind)


@pytest.mark.parametrize("kind", [EscalationKind.HINT, EscalationKind.HINT_ON_BEST])
def test_of_a_score_advice_is_asked_for_on_a_better_value(kind: EscalationKind) -> None:
    job = dataclasses.replace(job_of(SCORE), history=tuple(PAST))
    assert "finds no smaller value" in sent(job, kind)


def test_a_request_for_a_hint_has_the_same_bounds_after_many_long_tries() -> None:
    long = stuck(*(tried(n, f"{n} " + "word " * 20_000) for n in range(1, 30)))
    short = stuck(*(tried(n, f"{n} word") for n in range(1, 3)))
    for kind in (EscalationKind.HINT, EscalationKind.HINT_ON_BEST):
        assert len(sent(long, kind)) < len(sent(short, kind)) + 7_000


def test_lines_of_a_held_out_file_are_left_out_of_advice() -> None:
    job = job_of(VISIBLE, HIDDEN, ANSWER)
    advice = "Mind the sign:\n    assert add(-7, 4) == -3\nfrom solution import add\nThen return it."
    assert redact.without_held_out(job, advice) == "Mind the sign:\nfrom solution import add\nThen return it."
    assert redact.without_held_out(job_of(VISIBLE), advice) == advice
