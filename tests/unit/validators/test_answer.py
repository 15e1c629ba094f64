"""The check `answer`, but for mathematics in the sandbox."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.errors import InvalidInput
from tasks.heartbeat import SilentHeartbeat
from tasks.types import CheckSpec, SandboxResult
from tasks.validators.answer import ANSWER_CHARS, NO_NUMBER, NO_VALUE, AnswerValidator, is_about_form
from tasks.validators.extraction import layers, number_of


class Refusing:
    """A sandbox for checks that need none."""

    def run(self, job, heartbeat):
        raise AssertionError(f"no sandbox should be needed for {job.argv}")


NO_SANDBOX = Refusing()


def judged(value, text, sandbox, heartbeat):
    validator = AnswerValidator()
    stored, files = validator.parse(value, None)
    assert files == {}
    assert json.loads(json.dumps(stored)) == stored
    return validator.validate(text, CheckSpec(name="answer", kind="answer", value=stored), sandbox, heartbeat)


@pytest.mark.parametrize(
    ("value", "answer"),
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
def test_a_right_answer_passes(value, answer, heartbeat, no_sandbox):
    verdict = judged(value, f"So\n**ANSWER: {answer}**", no_sandbox, heartbeat)
    assert (verdict.passed, verdict.score, verdict.feedback) == (True, 1.0, "")


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (42, "43"),
        ("Paris", "paris"),
        ({"exact": "42"}, "42.0"),
        ({"number": 3.14159}, "3.14"),
        ({"number": 3.14159, "tolerance": "0.001"}, "3.14"),
        ({"regex": "Paris"}, "Paris, Texas"),
    ],
)
def test_a_wrong_answer_fails_and_the_feedback_does_not_give_the_right_one(value, answer, heartbeat, no_sandbox):
    verdict = judged(value, f"ANSWER: {answer}", no_sandbox, heartbeat)
    assert (verdict.passed, verdict.score) == (False, 0.0)
    assert answer in verdict.feedback
    assert "3.14159" not in verdict.feedback


@pytest.mark.parametrize("answer", ["five", "1/0", "1e999999999", "4.2e1x", "41 or 5", "5 km", "x = 5", "5%", "5 or 6"])
@pytest.mark.parametrize("expected", [5, 6])
def test_a_number_that_is_not_read_gets_one_feedback_whether_it_holds_the_right_one_or_not(
    answer, expected, heartbeat, no_sandbox
):
    for value in (expected, {"number": expected}):
        verdict = judged(value, f"ANSWER: {answer}", no_sandbox, heartbeat)
        assert not verdict.passed
        assert verdict.feedback == NO_NUMBER


@pytest.mark.parametrize("text", ["It is 5.", "ANSWER:", "ANSWER: 4\n```\nANSWER: 5\n```", "ANSWER: " + "5" * 3000])
def test_what_holds_no_one_answer_is_about_its_form(text, heartbeat, no_sandbox):
    assert is_about_form(judged(5, text, no_sandbox, heartbeat).feedback)


@pytest.mark.parametrize(("report", "is_form"), [("unreadable", True), ("other", False)])
def test_mathematics_that_cannot_be_read_is_about_its_form(report, is_form, heartbeat, scripted):
    sandbox = scripted(lambda job: honest(job, report))
    check = CheckSpec(name="m", kind="answer", value={"math": "x"})
    feedback = AnswerValidator().validate("ANSWER: y", check, sandbox, heartbeat).feedback
    assert is_about_form(feedback) is is_form
    assert ("'y'" in feedback) is not is_form


def honest(job, word):
    report = json.dumps([json.loads(job.stdin)["nonce"], word]).encode()
    return SandboxResult(exit_code=0, stdout="", stderr="", seconds=0.1, report=report)


WORD = st.text("ABab01", min_size=1, max_size=4)
DRESSES = [
    "${}$",
    "$${}$$",
    r"\({}\)",
    r"\[{}\]",
    r"\boxed{{{}}}",
    r"\text{{{}}}",
    "({})",
    "[{}]",
    '"{}"',
    "**{}**",
    "{}.",
    " {} ",
]


@given(WORD, WORD, st.lists(st.sampled_from(DRESSES), max_size=4))
def test_dress_neither_hides_a_right_answer_nor_makes_one(word, expected, dresses):
    dressed = word
    for dress in dresses:
        if not (dress == "{}." and dressed.endswith(".")):
            dressed = dress.format(dressed)
    right = word == expected or (number_of(word) is not None and number_of(word) == number_of(expected))
    check = CheckSpec(name="a", kind="answer", value=expected)
    verdict = AnswerValidator().validate(f"ANSWER: {dressed}", check, NO_SANDBOX, SilentHeartbeat())
    if not right:
        assert not verdict.passed
    elif len(dresses) <= 1:
        assert verdict.passed


@given(st.text(r"\$(){}[]\"'.*_ 4271,-+ABtexboxd", max_size=30))
def test_no_layer_drops_a_digit_a_sign_or_a_letter_of_a_value(value):
    commands = r"\\(?:boxed|text)"
    bare_layers = [
        re.sub(r"[^0-9+\-A-Za-z]", "", re.sub(commands, "", layer)) for layer in layers(value, brackets=True)
    ]
    assert len(set(bare_layers)) <= 1


def test_a_text_without_an_answer_line_is_told_so(heartbeat, no_sandbox):
    verdict = judged(42, "It is 42.", no_sandbox, heartbeat)
    assert not verdict.passed
    assert "no line that begins `ANSWER:`" in verdict.feedback


def test_a_pattern_that_backtracks_without_end_is_cut_off(heartbeat, no_sandbox):
    verdict = judged({"regex": "(?:a|aa)+[xy]"}, "ANSWER: " + "a" * 60 + "z", no_sandbox, heartbeat)
    assert not verdict.passed
    assert verdict.feedback.endswith("form and value count. (Comparing it with the pattern took too long.)")


def test_an_endless_answer_is_refused_before_it_is_compared(heartbeat, no_sandbox):
    assert "2,000 characters" in judged({"regex": ".*"}, "ANSWER: " + "9" * 5000, no_sandbox, heartbeat).feedback


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
    assert refused.value.value == (value[field.partition(".")[2]] if "." in field else value)
    assert refused.value.allowed


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
def test_mathematics_without_an_honest_report_is_not_right(report, heartbeat, scripted):
    sandbox = scripted(lambda job: SandboxResult(exit_code=0, stdout="", stderr="", seconds=0.1, report=report))
    check = CheckSpec(name="m", kind="answer", value={"math": "x"}, timeout_seconds=3, memory_mb=99)
    verdict = AnswerValidator().validate("ANSWER: x", check, sandbox, heartbeat)
    assert not verdict.passed
    assert (sandbox.jobs[0].timeout_seconds, sandbox.jobs[0].memory_mb) == (3, 99)


@pytest.mark.parametrize(
    ("value", "given", "form"),
    [
        ("Paris", "Paris, France", True),
        ("Paris", "the city", True),
        ("x-y", "x-z", False),
        ("a b", "c d", False),
        ("a b", "c", False),
        ("a b", "c!", True),
        ("a b", "c d e", True),
    ],
)
def test_only_what_is_shaped_as_the_expected_text_is_told_that_it_is_wrong(value, given, form, heartbeat, no_sandbox):
    feedback = judged(value, f"ANSWER: {given}", no_sandbox, heartbeat).feedback
    assert is_about_form(feedback) is form
    assert (given in feedback) is not form


def test_an_answer_may_fill_its_limit(heartbeat, no_sandbox):
    assert judged({"regex": "9*"}, "ANSWER: " + "9" * ANSWER_CHARS, no_sandbox, heartbeat).passed
    assert judged({"regex": ".*"}, "ANSWER:", no_sandbox, heartbeat).feedback == NO_VALUE


def test_a_number_is_read_in_brackets(heartbeat, no_sandbox):
    assert judged({"number": 42}, "ANSWER: [42]", no_sandbox, heartbeat).passed


@pytest.mark.parametrize(
    ("report", "passed", "said"),
    [
        ("same", True, ""),
        ("other", False, "'y' is not right"),
        ("unreadable expected", False, "the job must be corrected"),
        ("no word of ours", False, "could not be compared within the limits"),
    ],
)
def test_each_word_of_the_comparison_has_its_verdict(report, passed, said, heartbeat, scripted):
    sandbox = scripted(lambda job: honest(job, report))
    check = CheckSpec(name="m", kind="answer", value={"math": "x+1"})
    verdict = AnswerValidator().validate("ANSWER: y", check, sandbox, heartbeat)
    assert verdict.passed is passed
    assert said in verdict.feedback
    assert bool(verdict.feedback) is not passed
    order = json.loads(sandbox.jobs[0].stdin)
    assert (order["expected"], order["given"]) == ("x+1", "y")
    assert 0 <= verdict.seconds < 3600


@pytest.mark.parametrize(
    ("text", "behaviour"),
    [
        ("ANSWER: 42", "42"),
        ("So it is.\n**ANSWER:** `42.0`", "42"),
        ("ANSWER: $\\boxed{1/2}$", "1/2"),
        ("ANSWER: 0.5", "1/2"),
        ("ANSWER: By  Car.", "by car"),
        ("ANSWER: " + "x" * 900, "x" * 200),
        ("ANSWER: 1\n```\nANSWER: 2\n```", None),
        ("ANSWER:", None),
        ("no line", None),
    ],
)
def test_answers_of_the_same_value_are_the_same_whatever_is_around_it(text, behaviour):
    check = CheckSpec(name="answer", kind="answer", value={"regex": ".*"})
    assert AnswerValidator().behaviour(text, check, (), NO_SANDBOX, SilentHeartbeat()) == behaviour
