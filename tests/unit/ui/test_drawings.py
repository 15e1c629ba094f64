"""Plots, lineages and diffs: what they show, of bounded size."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tasks.store.board_rows import CurvePoint
from tests.board import ScriptedBoard
from workers.ui.diffs import MOST_LINES, diff
from workers.ui.lineage import drawing
from workers.ui.plots import bars, curves


def points(values: list[float | None], improved: set[int] = frozenset()) -> list[CurvePoint]:  # type: ignore[assignment]
    return [
        CurvePoint(iteration=number, score=0.5, value=value, improved=number in improved, operator="draft")
        for number, value in enumerate(values, start=1)
    ]


def test_a_bar_stands_for_each_stretch_in_which_something_was_done() -> None:
    assert bars("calls", [0.0, 2.0, 0.0, 1.0], []).count("Z") == 2


@given(st.lists(st.floats(min_value=0, max_value=1e12), max_size=80))
def test_bars_stay_inside_their_plot(values: list[float]) -> None:
    heights = [float(height) for height in re.findall(r"V(-?[\d.]+)", bars("x", values, []))]
    assert all(0 <= height <= 180 for height in heights)


@given(st.lists(st.none() | st.floats(), max_size=60))
def test_any_values_make_a_plot(values: list[float | None]) -> None:
    assert "nan" not in curves("x", [points(values)]).lower()


def test_the_line_of_values_is_the_incumbents_whichever_way_is_better() -> None:
    plot = curves("value", [points([9.0, 4.0, 7.0], improved={1, 2})])
    line = re.search(r'class="best s0" d="([^"]*)"', plot)
    assert line is not None
    assert line[1].count("V") == 1


def test_a_thousand_iterations_make_a_small_plot() -> None:
    assert len(curves("score", [points([None] * 1000)])) < 30_000


def test_each_candidate_is_a_link_with_an_edge_from_what_it_was_made_of() -> None:
    board = ScriptedBoard()
    lines = board.iterations(1, limit=9)
    tree = drawing(1, lines, board.candidates(1, 52, 60))
    assert tree.count("<a ") == 18
    assert 'href="/jobs/1/iterations/55#c0"' in tree
    assert tree.count('class="edge"') + tree.count('class="edge far"') >= 16
    assert drawing(1, [], []) == ""


def test_a_diff_shows_what_was_added_and_taken_away() -> None:
    lines = diff("a\nb\nc", "a\nB\nc")
    assert lines is not None
    assert [(line.kind, line.text) for line in lines if line.kind in ("add", "del")] == [("del", "b"), ("add", "B")]


def test_texts_that_are_the_same_or_too_long_are_not_compared() -> None:
    assert diff("a", "a") == ()
    assert diff("a", "a\n" * (MOST_LINES + 1)) is None
