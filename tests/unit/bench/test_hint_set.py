"""The tasks of ops/hints: what follows the right hint passes all checks, and what follows the wrong one does not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.bench.hint_programs import PROGRAMS
from workers.bench.folder import folder
from workers.bench.hints import HintArm, read_hints

SET = Path(__file__).parents[3] / "ops" / "hints"


def passes(task: str, program: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether a program passes both test files of the task."""
    solution = ModuleType("solution")
    exec(program, solution.__dict__)
    monkeypatch.setitem(sys.modules, "solution", solution)
    try:
        for kind in ("visible", "hidden"):
            tests: dict[str, object] = {}
            exec((SET / f"{task}_{kind}.py").read_text(), tests)
            for name in [name for name in tests if name.startswith("test_")]:
                tests[name]()  # type: ignore[operator]
    except (AssertionError, LookupError, ValueError):
        return False
    return True


@pytest.mark.parametrize("task", PROGRAMS)
def test_the_right_hint_leads_to_the_answer_and_the_wrong_one_astray(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, wrong = PROGRAMS[task]
    assert passes(task, right, monkeypatch)
    assert not passes(task, wrong, monkeypatch)


def test_each_task_has_a_right_a_useless_and_a_wrong_hint_of_its_own() -> None:
    tasks = folder(SET)
    hints = read_hints(SET / "hints.jsonl", tasks)
    assert {task.name for task in tasks.tasks} == set(hints) == set(PROGRAMS)
    given = [hints[task][arm] for task in hints for arm in (HintArm.RIGHT, HintArm.USELESS, HintArm.WRONG)]
    assert len(set(given)) == len(given)
    assert all(given)
