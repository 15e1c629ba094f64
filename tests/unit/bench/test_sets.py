"""The sets beside HumanEval: what there is, that their answers are right, and which folders are refused."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from tasks.errors import InvalidInput
from tasks.heartbeat import SilentHeartbeat
from tasks.types import CheckSpec
from tasks.validators import registry
from tests.doubles import NoSandbox
from workers.bench import carwash
from workers.bench.sets import SETS, load_set
from workers.bench.tasks import Mode, Task

QUESTIONS = carwash.carwash().tasks


def passes(check: CheckSpec, answer: str) -> bool:
    (verdict,) = registry.validate(f"ANSWER: {answer}", (check,), NoSandbox(), SilentHeartbeat())  # type: ignore[arg-type]
    return verdict.passed


def test_questions_differ_and_repeat_with_their_seed() -> None:
    assert len(QUESTIONS) == 32
    assert len({task.spec.problem for task in QUESTIONS}) == len(QUESTIONS)
    assert carwash.carwash() == carwash.carwash()
    assert carwash.carwash(1) != carwash.carwash()


@pytest.mark.parametrize("task", QUESTIONS, ids=lambda task: task.name)
def test_each_question_accepts_one_form_and_one_value(task: Task) -> None:
    (form,), (value,) = task.spec.checks, task.scoring
    choices = ("walk", "drive", "keep", "change", "left", "right", "neither", *map(str, range(500)))
    right = [choice for choice in choices if passes(value, choice)]
    assert len(right) == 1
    assert passes(form, right[0])
    assert not passes(form, "it depends")
    assert right[0] not in {word for word in ("walk", "drive")} or passes(form, "walk")


@pytest.mark.parametrize(
    ("kind", "text", "answer"),
    [
        ("_errand", "You want to wash your car", "drive"),
        ("_errand", "You want to pay last month", "walk"),
        ("_doors", "The host, who knows", "change"),
        ("_doors", "The host shows you", "keep"),
    ],
)
def test_what_a_question_turns_on_decides(kind: str, text: str, answer: str) -> None:
    asked = [getattr(carwash, kind)(random.Random(seed)) for seed in range(60)]
    assert {question.answer for question in asked if text in question.text} == {answer}


def test_snails_climb_as_they_are_told() -> None:
    """Day by day, instead of the formula."""
    for seed in range(100):
        question = carwash._snail(random.Random(seed))
        words = question.text.split()
        depth, up = int(words[words.index("deep.") - 2]), int(words[words.index("climbs") + 1])
        slip = int(words[words.index("back") + 1]) if "slips" in words else 0
        height, day = up, 1
        while height < depth:
            height, day = height - slip + up, day + 1
        assert question.answer == str(day), question.text


def test_both_answers_of_a_choice_occur() -> None:
    """Else a habit would be right."""
    for kind in (carwash._errand, carwash._doors, carwash._weight):
        seen = Counter(kind(random.Random(seed)).answer for seed in range(60))
        assert min(seen.values()) >= 10


def test_the_puzzles_of_reasoning_gym_have_one_whole_number() -> None:
    pytest.importorskip("reasoning_gym", reason="the extra bench is not installed")
    tasks = load_set("reasoning-gym").tasks
    assert len(tasks) == len({task.name for task in tasks}) == 80
    for task in tasks:
        ((form,), (value,)) = task.spec.checks, task.scoring
        assert passes(form, value.value["number"])
        assert passes(value, value.value["number"])
    assert tasks == load_set("reasoning-gym").tasks


def test_a_folder_of_job_files_is_a_set_whose_held_out_checks_score() -> None:
    found = load_set("ops/demo")
    assert (found.name, len(found.tasks)) == ("demo", len(list(Path("ops/demo").glob("*.md"))))
    for task in found.tasks:
        assert not any(check.held_out for check in task.job(Mode.BLIND).checks)
        assert any(check.held_out for check in task.job(Mode.CHECKER).checks)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("---\nchecks: [answer: 1]\n---\nAdd.", "a visible and a held-out check"),
        ("---\nchecks: [{answer: 1}, {judge: goal, held_out: true}]\n---\nAdd.", "without judges"),
        ("---\nchecks: [nonsense: 1]\n---\nAdd.", "there is no such check"),
    ],
)
def test_a_job_that_a_bench_cannot_score_is_refused(tmp_path: Path, text: str, refused: str) -> None:
    (tmp_path / "a.md").write_text(text)
    with pytest.raises(InvalidInput, match=refused):
        load_set(str(tmp_path))


def test_an_unknown_set_and_an_empty_folder_are_bad_input(tmp_path: Path) -> None:
    for name in ("humaneval2", str(tmp_path)):
        with pytest.raises(InvalidInput, match="SET"):
            load_set(name)
    assert set(SETS) == {"humaneval", "reasoning-gym", "carwash"}
