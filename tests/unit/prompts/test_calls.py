"""The calls that a model's text gives, and the functions that may be called."""

from __future__ import annotations

import pytest

from tasks.prompts.calls import CALLS, calls, signatures

SOURCE = """
import math

def area(r: float, *, exact: bool = False) -> float:
    return math.pi * r * r

def _square(x):
    return x * x

class Shape:
    def area(self):
        return 0

def name(*parts):
    return "".join(parts)
"""


def test_public_functions_are_named_with_the_line_that_begins_them() -> None:
    assert signatures(SOURCE) == {
        "area": "def area(r: float, *, exact: bool=False) -> float",
        "name": "def name(*parts)",
    }
    assert list(signatures(SOURCE, {"area", "Shape"})) == ["area"]
    assert list(signatures(SOURCE, {"other"})) == ["area", "name"]
    assert signatures("def f(:\n") == {}


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("f([1, 2], -3)", "f([1, 2], -3)"),
        ("- `f('a')`", "f('a')"),
        ("3. f(1.5)  # a fraction", "f(1.5)"),
        (">>> f({'a': (1, 2)})", "f({'a': (1, 2)})"),
        ("assert f(2) == 4", "f(2)"),
        ("print(f(2))", "f(2)"),
        ("result = f(x=2)", "f(x=2)"),
        ("f()", "f()"),
    ],
)
def test_a_call_is_read_out_of_its_line(line: str, call: str) -> None:
    assert calls(line, {"f"}) == (call,)


@pytest.mark.parametrize(
    "line",
    [
        "f(open('/etc/passwd'))",
        "f(x)",
        "f(*[1, 2])",
        "f(**{'a': 1})",
        "f([0] * 10)",
        "g(1)",
        "__import__('os').system('f(1)')",
        "f(1",
        "Ordinary cases:",
        "",
        "f('" + "x" * 2000 + "')",
    ],
)
def test_what_is_no_call_with_literals_is_left_out(line: str) -> None:
    assert calls(line, {"f"}) == ()


def test_a_call_that_comes_again_counts_once_and_there_are_so_many_at_most() -> None:
    text = "```python\n" + "".join(f"f({n})\nf( {n} )\n" for n in range(40)) + "```"
    assert calls(text, {"f"}) == tuple(f"f({n})" for n in range(CALLS))
