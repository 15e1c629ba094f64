"""The errors that are planted: each in one place, each of a known kind."""

from __future__ import annotations

import ast

import pytest

from workers.bench.mutations import code_mutants, figure_mutants, plain

SOURCE = '''
"""A module."""
def least(values, limit=3):
    """The least.

    >>> least([2, 1])
    1
    """
    best = values[0]  # a comment
    for value in values:
        if value < best and value != limit:
            best = value
        elif not values:
            return -1
    return best * 2 + 1 if best is not None else None
'''


def test_each_mutant_is_a_program_that_differs_in_one_place() -> None:
    whole = plain(SOURCE)
    mutants = list(code_mutants(SOURCE))
    assert len({mutant.text for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        ast.parse(mutant.text)
        assert mutant.text != whole
        if "became `pass`" not in mutant.change and "if " not in mutant.change:
            lines = zip(mutant.text.splitlines(), whole.splitlines(), strict=True)
            assert sum(one != other for one, other in lines) == 1


@pytest.mark.parametrize(
    "change",
    [
        "`value < best` became `value <= best`",
        "`value != limit` became `value == limit`",
        "`value < best and value != limit` became `value < best or value != limit`",
        "`3` became `4`",
        "`3` became `2`",
        "`best * 2` became `best + 2`",
        "`best * 2 + 1` became `best * 2 - 1`",
        "`best is not None` became `best is None`",
    ],
)
def test_comparisons_constants_and_operators_change(change: str) -> None:
    assert any(mutant.change.endswith(change) for mutant in code_mutants(SOURCE))


def test_a_branch_is_dropped() -> None:
    texts = [mutant.text for mutant in code_mutants(SOURCE)]
    assert any("best = value\n" not in text and "if not values:" in text for text in texts)
    assert any("return -1" not in text and "value < best" in text for text in texts)
    assert any(text.rstrip().endswith("return None") for text in texts)


def test_neither_docstrings_nor_comments_tell_a_right_program_from_a_wrong_one() -> None:
    for text in (plain(SOURCE), *(mutant.text for mutant in code_mutants(SOURCE))):
        assert "The least" not in text
        assert "comment" not in text


def test_true_is_no_figure() -> None:
    assert not list(code_mutants("def f():\n    return True\n"))


def test_one_figure_or_the_sign_of_the_last_number_changes() -> None:
    assert [mutant.text for mutant in figure_mutants("x = 5, y = -3.9")] == [
        "x = 5, y = -2.9",
        "x = 5, y = -4.9",
        "x = 5, y = -3.8",
        "x = 5, y = 3.9",
    ]
    assert [mutant.text for mutant in figure_mutants("10")] == ["20", "11", "-10"]
    assert [mutant.change for mutant in figure_mutants("7")] == [
        "`7` became `6`",
        "`7` became `8`",
        "`7` became `-7`",
    ]
    assert not list(figure_mutants("no number"))
