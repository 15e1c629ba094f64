"""The first net's arithmetic: how far a period reaches back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.llm.cycles import covered_chars, tail_cycle


@given(before=st.text("ab", max_size=60), unit=st.text("ab", min_size=1, max_size=9), copies=st.integers(1, 40))
def test_a_period_reaches_back_as_far_as_characters_are_equal(before: str, unit: str, copies: int) -> None:
    text, period = before + unit * copies, len(unit)
    at = len(text) - period
    while at > 0 and text[at - 1] == text[at - 1 + period]:
        at -= 1
    assert covered_chars(text, period) == len(text) - at


def test_a_row_of_zeros_does_not_hide_the_longer_cycle_it_is_part_of() -> None:
    unit = "0, " * 40 + "the row ends, " + "0, " * 30
    hit = tail_cycle(unit * 3)
    assert hit is not None
    assert hit.period_chars == len(unit)
