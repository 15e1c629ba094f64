"""What is read of an evaluator's output, and what makes a candidate invalid."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.validators.measurement import FEEDBACK_CHARS, LARGEST, Measurement, Unreadable, read


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ("3", 3.0),
        ("-0.25\n", -0.25),
        ("1e-9", 1e-9),
        ("trying 12 starts\nbest of them:\n7.5\n\n", 7.5),
        ('{"score": 2}', 2.0),
        ('{\n  "score": -2.5,\n  "valid": true\n}\n', -2.5),
        ('loaded [1, 2]\n{"score": 0, "feedback": null, "metrics": null}', 0.0),
    ],
)
def test_a_number_or_an_object_is_the_whole_output_or_its_last_line(output: str, value: float) -> None:
    assert read(output).value == value


def test_metrics_and_feedback_come_with_it() -> None:
    said = json.dumps({"score": 4, "metrics": {"tours": 3, "worst": 1.5}, "feedback": " The third\x1b tour crosses.\n"})
    assert read(said) == Measurement(
        value=4.0, feedback="The third\ufffd tour crosses.", metrics={"tours": 3.0, "worst": 1.5}
    )


@pytest.mark.parametrize("score", [{}, {"score": None}, {"score": 9}, {"score": "nan"}])
def test_an_evaluator_may_call_a_candidate_invalid_with_or_without_a_score(score: dict[str, object]) -> None:
    said = json.dumps({**score, "valid": False, "feedback": "two circles overlap"})
    assert read(said) == Measurement(value=None, feedback="two circles overlap")


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ("", "printed nothing"),
        (" \n\n", "printed nothing"),
        ("the score is 3", "its last line is no score: the score is 3"),
        ("3\nbye", "its last line is no score: bye"),
        ("nan", "its last line is no score: nan"),
        ("NaN", "not a finite number"),
        ("Infinity", "not a finite number"),
        ("-Infinity", "not a finite number"),
        ("1e999", "not a finite number"),
        ("1e101", "larger than"),
        ("1" * 150, "larger than"),
        ("1" * 9_000, "its last line is no score"),
        ("true", "its last line is no score"),
        ('"3"', "its last line is no score"),
        ("[3]", "its last line is no score"),
        ('{"score": NaN}', "`score` is nan"),
        ('{"score": -Infinity}', "`score` is -inf"),
        ('{"score": "3"}', '`score` is "3", not a number'),
        ('{"score": true}', "`score` is true"),
        ('{"score": null}', "`score` is null"),
        ('{"value": 3}', "no `score`"),
        ('{"score": 3, "valid": "yes"}', "`valid` is"),
        ('{"score": 3, "valid": null}', "`valid` is null"),
        ('{"score": 3, "feedback": ["a"]}', "`feedback` is"),
        ('{"score": 3, "metrics": 4}', "`metrics` is no object"),
        ('{"score": 3, "metrics": {"a": "x"}}', "`metrics.a` is"),
        ('{"score": 3, "metrics": {"a": NaN}}', "`metrics.a` is nan"),
        ('{"score": 99}\n{"score": 1}', "several results"),
        ('{"score": 99}\n1', "several results"),
        ('{"score": 99}{"score": 1}', "its last line is no score"),
        ('{"score": 3', "its last line is no score"),
        ("[" * 100_000, "its last line is no score"),
    ],
)
def test_anything_else_is_refused_in_one_line(output: str, why: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read(output)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 200


def test_a_long_feedback_is_cut() -> None:
    assert len(read(json.dumps({"score": 1, "feedback": "so " * 5_000})).feedback) <= FEEDBACK_CHARS


@given(st.text())
def test_whatever_is_printed_gives_a_finite_value_or_a_reason(output: str) -> None:
    try:
        value = read(output).value
    except Unreadable:
        return
    assert value is not None
    assert math.isfinite(value)


@given(st.floats(-LARGEST, LARGEST))
def test_a_printed_number_is_read_as_it_was_meant(value: float) -> None:
    assert read(f"a line\n{value!r}").value == value
    assert read(json.dumps({"score": value})).value == value
