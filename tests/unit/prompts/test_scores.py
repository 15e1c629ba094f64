"""What a prompt shows of a job's score, and that a held-out value never shows."""

from __future__ import annotations

import dataclasses

import pytest

from tasks.prompts import build
from tasks.types import Candidate, CheckSpec, Iteration, Operator, Verdict
from tests.unit.prompts.cases import candidate, job_of, prompts_of

OPEN = CheckSpec(name="score:open.py", kind="score", value={"goal": "minimise"})
SECRET = CheckSpec(name="score:secret.py", kind="score", value={"goal": "minimise"}, held_out=True)


def measured(check: CheckSpec, value: float, feedback: str) -> Verdict:
    return Verdict(
        check=check.name,
        kind="score",
        passed=True,
        score=1.0,
        held_out=check.held_out,
        feedback=feedback,
        value=value,
        metrics={"tours": value + 1},
    )


TRIED = candidate(
    "```python\ndef tour(): ...\n```",
    measured(OPEN, 417.25, "the third tour crosses itself"),
    measured(SECRET, 93.5, "the instance of 70 cities is slow"),
)
JOB = job_of(OPEN, SECRET, problem="Shorten the tour.", title="Tours")


@pytest.mark.parametrize("name", ["review", "revise", "repair", "aggregate"])
def test_a_visible_value_and_what_its_evaluator_says_are_shown(name: str) -> None:
    shown = prompts_of(JOB, TRIED)[name]
    assert "417.25" in shown
    assert "tours = 418.25" in shown
    assert "the third tour crosses itself" in shown


@pytest.mark.parametrize("name", ["draft", "review", "revise", "repair", "redraft", "aggregate", "synthesise"])
def test_the_direction_is_told_and_nothing_of_the_held_out_score(name: str) -> None:
    shown = prompts_of(JOB, TRIED)[name]
    assert "the smaller, the better" in shown
    for secret in ("93.5", "94.5", "70 cities", "secret.py"):
        assert secret not in shown


def test_no_prompt_calls_a_valid_answer_wrong() -> None:
    for name, shown in prompts_of(JOB, TRIED).items():
        assert "not right" not in shown, name


def test_the_cloud_is_shown_the_best_by_value() -> None:
    def valued(value: float, text: str, slot: int) -> Candidate:
        made = candidate(text, measured(OPEN, value, ""))
        ref = dataclasses.replace(made.ref, slot=slot)
        return dataclasses.replace(made, ref=ref, root=ref, score=1.0, fitness=-value)

    tried = [valued(value, f"tour number {slot}", slot) for slot, value in enumerate([9.0, 3.0, 8.0, 1.0, 7.0])]
    history = (Iteration(number=1, operator=Operator.DRAFT, candidates=tuple(tried)),)
    shown = "".join(message.content for message in build.escalate(dataclasses.replace(JOB, history=history)))
    assert [f"tour number {slot}" in shown for slot in range(5)] == [False, True, False, True, True]
