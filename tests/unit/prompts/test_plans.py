"""The plan of an answer, in a few words."""

from __future__ import annotations

import pytest

from tasks.prompts.plans import PLAN_CHARS, plan, plans
from tests.unit.prompts.cases import candidate


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```python\n# Plan: sort, then scan\ndef f(x):\n    return x\n```", "sort, then scan"),
        ("**Plan:** by cases\nANSWER: 3", "by cases"),
        ("def f(x):\n    for a in x:\n        print(a)\n", "a loop, print()"),
        ("def f(n):\n    return n * f(n - 1) if n else 1", "recursion"),
        ("def f(n):\n    return n", "one expression"),
        (
            "import math\ndef f(x):\n    return [math.sqrt(a) for a in sorted(x)]",
            "a comprehension, math.sqrt(), sorted()",
        ),
        ("\n  The sum is 4.\nANSWER: 4", "The sum is 4."),
    ],
)
def test_a_plan_is_what_its_author_called_it_or_what_its_code_is_made_of(text: str, words: str) -> None:
    assert plan(text) == words


def test_plans_are_short_and_none_is_listed_twice() -> None:
    long = candidate("Plan: " + "word " * 100)
    listed = plans([candidate("Plan: one"), candidate("  "), candidate("plan: one\nother"), long])
    assert listed[0] == "one"
    assert len(listed) == 2
    assert all(len(line) <= PLAN_CHARS and "\n" not in line for line in listed)
