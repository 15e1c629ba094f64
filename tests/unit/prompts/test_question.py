"""A job's question to its owner: what its writer is shown, and what is read out of the text."""

from __future__ import annotations

import dataclasses

import pytest

from tasks.prompts import build, parse
from tasks.types import Iteration, Operator
from tests.unit.prompts.cases import CODE, HIDDEN, VISIBLE, job_of


def test_whoever_writes_it_sees_the_best_candidate_and_no_held_out_check() -> None:
    tried = Iteration(number=1, operator=Operator.DRAFT, candidates=(CODE,))
    shown = build.question(dataclasses.replace(job_of(VISIBLE, HIDDEN), history=(tried,)))[1].content
    assert "return a - b" in shown
    assert "test_add: assert -1 == 5" in shown
    assert "assert -11 == -3" not in shown
    assert "add(-7, 4)" not in shown


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("Does 0 count as even?", "Does 0 count as even?"),
        ("**Question:** May the list be   empty?", "May the list be empty?"),
        ("What do I need?\nI should ask:\n> Are names unique?\n", "Are names unique?"),
        ("I would like to know the unit.", ""),
        ("", ""),
    ],
)
def test_the_last_line_that_is_a_question_is_asked(text: str, question: str) -> None:
    assert parse.question(text) == question


def test_a_question_has_a_bound() -> None:
    asked = parse.question("Is it " + "very " * 400 + "long?")
    assert len(asked) == parse.QUESTION_CHARS
    assert asked.endswith("…?")
