"""The examples of a docstring, in the forms that people write them."""

from __future__ import annotations

import pytest

from workers.bench.docstrings import Example, examples


@pytest.mark.parametrize(
    ("docstring", "call", "value"),
    [
        ("Adds.\n    >>> f(1, 2)\n    3\n", "f(1, 2)", "3"),
        (">>> round(f([1]), 2) # a root\n-0.5", "round(f([1]), 2)", "-0.5"),
        (r""">>> f("a\nb")""" + "\n'b'", r"f('a\nb')", "'b'"),
        ("Example:\n  f([1, 2], 5) ➞ False\n  # too heavy", "f([1, 2], 5)", "False"),
        ('f("abAB") => 131', "f('abAB')", "131"),
        ("f(64) ==> True", "f(64)", "True"),
        ("f(1, 4) => true", "f(1, 4)", "True"),
        ("f([1]) == [1, 4]", "f([1])", "[1, 4]"),
        ('f(15)   # returns "db1111db"', "f(15)", "'db1111db'"),
        ('f("5 and 6", 19) ->19 - 5 - 6 = 8', "f('5 and 6', 19)", "8"),
        ("f(abcd) => True", "f('abcd')", "True"),
        ("grades([4.0, 3]) ==> ['A+', 'B']", "f([4.0, 3])", "['A+', 'B']"),
        ("Input: [4,2,3]\n    Output: [2, 1]\n", "f([4, 2, 3])", "[2, 1]"),
        ('For num = "AB" the output should be 1.\n', "f('AB')", "1"),
    ],
)
def test_each_form_is_read(docstring: str, call: str, value: str) -> None:
    assert examples(docstring, "f") == (Example(call=call, value=value),)


@pytest.mark.parametrize(
    "docstring",
    [
        "Returns the number of collisions.",
        "f(x) is the sum of x and one",
        "f([1, 2, 3) => 2",
        "f(1) => the first letter",
        ">>> x = 1\n>>> print(x)\nhello world",
        "f(n=1, print) = 3",
    ],
)
def test_what_is_no_value_is_no_example(docstring: str) -> None:
    assert examples(docstring, "f") == ()


def test_an_example_that_is_given_twice_is_one() -> None:
    assert len(examples("f(1) == 2\nf(1) == 2\nf(2) == 3", "f")) == 2
