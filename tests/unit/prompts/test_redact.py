"""Not a word of what is held out is in any prompt."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.prompts import redact
from tasks.types import (
    CheckSpec,
    Cut,
)
from tests.unit.prompts.cases import (
    ANSWER,
    NUMBER,
    VISIBLE,
    candidate,
    failed,
    job_of,
    prompts_of,
)

secret = st.text("ghijkqxz", min_size=8, max_size=40).map(lambda text: f"§{text}§")


@given(
    name=secret,
    file=secret,
    text=secret,
    value=secret,
    feedback=secret,
    marked=st.booleans(),
    shorten=st.integers(0, 1),
)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("kind", ["python", "answer", "schema", "command", "judge"])
def test_nothing_of_a_held_out_check_is_ever_in_a_prompt(
    kind: str, name: str, file: str, text: str, value: str, feedback: str, marked: bool, shorten: int
) -> None:
    hidden = CheckSpec(name=name, kind=kind, value={"exact": value}, files={file: text}, held_out=True)
    parent = candidate("def add(): ...", failed(VISIBLE, "no"), failed(hidden, feedback, held_out=marked))
    for operator, prompt in prompts_of(job_of(VISIBLE, hidden), parent, (), Cut(prefix=shorten, rest=shorten)).items():
        for kept in (name, file, text, value, feedback):
            assert kept not in prompt
        assert (redact.HIDDEN_FAILED in prompt) is (operator not in ("draft", "redraft", "synthesise", "inputs"))


def test_a_verdict_of_an_unknown_check_is_not_shown() -> None:
    other = CheckSpec(name="python:old.py", kind="python", value={})
    assert "leak" not in prompts_of(job_of(VISIBLE), candidate("x", failed(other, "leak")))["revise"]


def test_an_expected_answer_is_never_shown() -> None:
    for prompt in prompts_of(job_of(ANSWER), NUMBER).values():
        assert "1729" not in prompt
        assert "ANSWER: …" in prompt or "List the problems" in prompt


UNIT = CheckSpec(name="answer:unit", kind="answer", value={"exact": "1729", "unit": ""})


@pytest.mark.parametrize(
    ("check", "feedback", "shown"),
    [
        (VISIBLE, "visible.py fails in line 4", "visible.py fails in line 4"),  # a file's name is no answer
        (UNIT, "it is far too small", "it is far too small"),
        (UNIT, "1729 was expected", redact.WRONG_ANSWER),
        (UNIT, "  \n", "(no details)"),
    ],
)
def test_only_feedback_that_names_an_expected_answer_is_replaced(check: CheckSpec, feedback: str, shown: str) -> None:
    wrong = candidate("x", failed(check, feedback))
    assert redact.visible_failures(job_of(check), [wrong]) == (f"{check.name} failed:\n{shown}",)
