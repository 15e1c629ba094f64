"""What share of the time an engine and checks were at work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.cli.occupancy import Occupancy, occupancy, plot, query, seconds, stretches, words

# 10 s: the engine in the first six, checks in the last five but for one second, so that both are at work for one.
ROWS = [("engine", 100.0, 106.0), ("checks", 105.0, 107.0), ("checks", 108.0, 110.0)]


def measured() -> Occupancy:
    one = occupancy(ROWS)
    assert one is not None
    return one


def test_shares_are_of_the_time_from_the_first_beginning_to_the_last_end() -> None:
    one = measured()
    assert one.whole == (100.0, 110.0)
    assert one.both == [(105.0, 106.0)]
    assert words(one) == "the engine was at work 60% of the time, checks ran 40% of it, both at once 10%"


def test_each_stretch_has_the_share_that_is_filled() -> None:
    assert stretches(measured().engine, (100.0, 110.0), 4) == pytest.approx([1.0, 1.0, 0.4, 0.0])
    assert stretches(measured().checks, (100.0, 110.0), 4) == pytest.approx([0.0, 0.0, 0.8, 0.8])


@given(
    st.lists(st.tuples(st.floats(0, 100), st.floats(0.1, 100)), min_size=1, max_size=8),
    st.integers(1, 40),
)
def test_stretches_lose_and_add_nothing(parts: list[tuple[float, float]], count: int) -> None:
    spans, at = [], 0.0
    for gap, length in parts:
        spans.append((at + gap, at + gap + length))
        at += gap + length
    whole = spans[0][0], spans[-1][1]
    filled = stretches(spans, whole, count)
    assert all(-1e-9 <= share <= 1 + 1e-9 for share in filled)
    assert sum(filled) * (whole[1] - whole[0]) / count == pytest.approx(seconds(spans))


def test_a_job_for_which_nothing_ran_has_none() -> None:
    assert occupancy([]) is None


def test_one_moment_of_work_is_drawn_without_a_division_by_zero() -> None:
    one = Occupancy(engine=[(5.0, 5.0)], checks=[])
    assert one.share(one.engine) == 0.0
    assert "engine" in plot(one)


def test_a_plot_has_a_row_of_bars_for_each() -> None:
    assert plot(measured()).count("<path") == 2
    assert plot(Occupancy(engine=[(0.0, 1.0)], checks=[])).count("<path") == 1


def test_the_query_takes_numbers_alone() -> None:
    assert "IN (3, 4)" in query([3, 4])
    with pytest.raises(ValueError, match="invalid literal"):
        query(["1) OR (1=1"])  # type: ignore[list-item]
