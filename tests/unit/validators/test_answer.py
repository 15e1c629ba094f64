"""The check `answer`, but for mathematics in the sandbox."""

from __future__ import annotations

import json

import pytest

from tasks.errors import InvalidInput
from tasks.ports import SandboxResult
from tasks.types import CheckSpec
from tasks.validators.answer import AnswerValidator, number_of


def judged(value, text, sandbox, pulse):
    validator = AnswerValidator()
    stored, files = validator.parse(value, None)
    assert files == {}
    assert json.loads(json.dumps(stored)) == stored
    return validator.validate(text, CheckSpec(name="answer", kind="answer", value=stored), sandbox, pulse)


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (42, "42"),
        (42, "42.0"),
        ("42", "42"),
        (0.5, "1/2"),
        ("Paris", "Paris"),
        ({"exact": "x = 1"}, "x = 1"),
        ({"number": 1000000}, "1,000,000"),
        ({"number": "1/3"}, "2/6"),
        ({"number": 3.14159, "tolerance": 0.002}, "3.14"),
        ({"number": "6.02e23"}, "602e21"),
        ({"number": -1}, "−1"),
        ({"regex": "[Pp]aris( \\(France\\))?"}, "paris (France)"),
    ],
)
def test_a_right_answer_passes(value, given, pulse, no_sandbox):
    verdict = judged(value, f"So\n**ANSWER: {given}**", no_sandbox, pulse)
    assert (verdict.passed, verdict.score, verdict.feedback) == (True, 1.0, "")


@pytest.mark.parametrize(
    ("value", "given"),
    [
        (42, "43"),
        (42, "4.2e1x"),
        ("Paris", "paris"),
        ({"exact": "42"}, "42.0"),
        ({"number": 3.14159}, "3.14"),
        ({"number": 3.14159, "tolerance": "0.001"}, "3.14"),
        ({"number": 5}, "five"),
        ({"number": 5}, "1/0"),
        ({"number": 5}, "1e999999999"),
        ({"regex": "Paris"}, "Paris, Texas"),
    ],
)
def test_a_wrong_answer_fails_and_the_feedback_does_not_give_the_right_one(value, given, pulse, no_sandbox):
    verdict = judged(value, f"ANSWER: {given}", no_sandbox, pulse)
    assert (verdict.passed, verdict.score) == (False, 0.0)
    assert given in verdict.feedback
    assert "3.14159" not in verdict.feedback


def test_a_text_without_an_answer_line_is_told_so(pulse, no_sandbox):
    verdict = judged(42, "It is 42.", no_sandbox, pulse)
    assert not verdict.passed
    assert "no line that begins `ANSWER:`" in verdict.feedback


def test_a_pattern_that_backtracks_without_end_is_cut_off(pulse, no_sandbox):
    verdict = judged({"regex": r"(?:(\w+)\s?)*\1z"}, "ANSWER: " + "ab " * 60 + "!", no_sandbox, pulse)
    assert not verdict.passed


def test_an_endless_answer_is_refused_before_it_is_compared(pulse, no_sandbox):
    assert "2,000 characters" in judged({"regex": ".*"}, "ANSWER: " + "9" * 5000, no_sandbox, pulse).feedback


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (True, "answer"),
        (None, "answer"),
        ("", "answer"),
        ([1], "answer"),
        ("two\nlines", "answer"),
        ({}, "answer"),
        ({"exact": 1, "regex": "1"}, "answer"),
        ({"exact": 1, "tolerence": 1}, "answer"),
        ({"number": "many"}, "answer.number"),
        ({"number": 1, "tolerance": -1}, "answer.tolerance"),
        ({"number": 1, "tolerance": "wide"}, "answer.tolerance"),
        ({"exact": 1, "tolerance": 1}, "answer.tolerance"),
        ({"regex": "("}, "answer.regex"),
        ({"exact": True}, "answer.exact"),
        ({"math": "\\frac{1}{"}, "answer.math"),
    ],
)
def test_a_bad_value_is_refused_with_its_field(value, field):
    with pytest.raises(InvalidInput) as refused:
        AnswerValidator().parse(value, None)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("text", "ratio"),
    [("1,234.5", (2469, 2)), ("$7$", (7, 1)), ("2 / 4", (1, 2)), (".5", (1, 2)), ("1e-2", (1, 100)), ("+3", (3, 1))],
)
def test_a_plain_number_is_read_exactly(text, ratio):
    number = number_of(text)
    assert number is not None
    assert (number.numerator, number.denominator) == ratio


@pytest.mark.parametrize("text", ["", ".", "e5", "1,23", "0x10", "nan", "inf", "1/2/3", "1_000", "1e1000", "9" * 500])
def test_what_is_no_plain_number_is_none(text):
    assert number_of(text) is None


@pytest.mark.parametrize("report", [b"", b"garbage", b'["stolen", "same"]', b"[]", b"{}"])
def test_mathematics_without_an_honest_report_is_not_right(report, pulse, scripted):
    sandbox = scripted(lambda job: SandboxResult(exit_code=0, stdout="", stderr="", seconds=0.1, report=report))
    check = CheckSpec(name="m", kind="answer", value={"math": "x"}, timeout_seconds=3, memory_mb=99)
    verdict = AnswerValidator().validate("ANSWER: x", check, sandbox, pulse)
    assert not verdict.passed
    assert (sandbox.jobs[0].timeout_seconds, sandbox.jobs[0].memory_mb) == (3, 99)
