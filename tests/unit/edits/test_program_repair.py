"""Repairs of a program without a model: what is left out, what is imported, and what is left alone."""

from __future__ import annotations

import ast

import pytest

from tasks.edits import repairs_of

CLOSED = """def walk(stops):
    left = set(stops)
    way = [left.pop()]
    while left:
        nearest = min(left, key=lambda stop: math.dist(stop, way[-1]))
        way.append(nearest)
        left.remove(nearest)
    way.append(way[0])
    return way"""


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]


def missing(repaired: str, program: str) -> list[str]:
    return [line for line in lines(program) if line not in lines(repaired)]


def test_a_forgotten_module_is_imported_in_each_and_one_statement_left_out_the_last_first() -> None:
    first, *others = repairs_of(CLOSED)
    assert first == f"import math\n{CLOSED}"
    assert all(text.startswith("import math\n") for text in others)
    assert [missing(text, CLOSED) for text in others] == [
        ["way.append(way[0])"],
        ["way.append(nearest)"],
        lines(CLOSED)[3:7],
        ["way = [left.pop()]"],
        ["left = set(stops)"],
    ], "nothing of the loop that has to do with its condition, nor what is returned"
    assert all(ast.parse(text) for text in others)


def test_the_form_of_the_answer_stays_and_none_comes_twice() -> None:
    answer = "Here it is:\n```python\nimport numpy\nx = 1\nprint(x)\n```"
    expected = [
        f"```python\n{text}\n```\n" for text in ("import numpy\nx = 1", "import numpy\nprint(x)", "x = 1\nprint(x)")
    ]
    assert list(repairs_of(answer)) == expected
    assert list(repairs_of(answer, {expected[1]})) == [expected[0], expected[2]]


def test_the_only_statement_of_a_block_gives_way_to_pass() -> None:
    program = "def f(a):\n    if a:\n        a.sort()\n    return a"
    assert list(repairs_of(program)) == [
        "def f(a):\n    if a:\n        pass\n    return a",
        "def f(a):\n    return a",
    ]


def test_a_module_is_imported_after_the_features_of_the_future() -> None:
    program = 'from __future__ import annotations\n\ndef f(a):\n    mark = "\x0c"\n    return math.floor(a)'
    first, second = repairs_of(program)
    assert first == program.replace("annotations\n", "annotations\nimport math\n")
    assert second == first.replace('    mark = "\x0c"\n', ""), "a form feed ends no line"
    compile(first, "first", "exec")


@pytest.mark.parametrize(
    "text",
    [
        "", "a sentence about it", "[[0, 1], [2, 3]]", "def f(:\n", "print(1)",
        "def f(random):\n    return random.choice",
        'def f():\n    """What it does."""\n    return 1', "x = 1; y = 2",
        "x = 1\nprint(x)\n" * 1_000,
    ],
)  # fmt: skip
def test_what_is_no_program_or_has_nothing_to_leave_out_has_no_repair(text: str) -> None:
    assert list(repairs_of(text)) == []
