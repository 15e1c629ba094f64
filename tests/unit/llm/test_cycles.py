"""The first net's arithmetic: how far a period reaches back."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.llm.cycles import COPIES, GRID_CHARS, GRID_PIECES, PERIOD_CHARS, covered_chars, tail_cycle


@given(before=st.text("ab", max_size=60), unit=st.text("ab", min_size=1, max_size=9), copies=st.integers(1, 40))
def test_a_period_reaches_back_as_far_as_characters_are_equal(before: str, unit: str, copies: int) -> None:
    text, period = before + unit * copies, len(unit)
    at = len(text) - period
    while at > 0 and text[at - 1] == text[at - 1 + period]:
        at -= 1
    assert covered_chars(text, period) == len(text) - at


@pytest.mark.parametrize("zeros", [30, 400])
def test_a_row_of_zeros_does_not_hide_the_longer_cycle_it_is_part_of(zeros: int) -> None:
    unit = "0, " * 40 + "the row ends, " + "0, " * zeros
    hit = tail_cycle(unit * 3)
    assert hit is not None
    assert hit.period_chars == len(unit)


@pytest.mark.parametrize(("period", "is_hit"), [(PERIOD_CHARS, True), (PERIOD_CHARS + 1, False)])
def test_a_copy_may_be_so_long_and_no_longer(period: int, is_hit: bool) -> None:
    unit = "".join(random.Random(1).choices("abcdefgh ", k=period))
    assert (tail_cycle(unit * COPIES) is not None) is is_hit


@pytest.mark.parametrize(
    ("unit", "least"),
    [
        ("0,", GRID_PIECES),  # each character is a piece
        ("0, \n", 2_133),  # four characters are three pieces
        (", ", GRID_CHARS),  # two characters are one piece, and no grid needs more characters
    ],
)
def test_a_grid_is_a_loop_from_its_least_number_of_characters_on(unit: str, least: int) -> None:
    copies = unit * GRID_CHARS
    assert tail_cycle("#" + copies[-least:]) is not None
    assert tail_cycle("#" + copies[1 - least :]) is None
