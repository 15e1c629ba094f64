from __future__ import annotations

from workers.backoff import pause_seconds


def test_each_end_in_a_row_doubles_the_pause_up_to_the_longest() -> None:
    assert [pause_seconds(ends, longest=30) for ends in range(1, 8)] == [1, 2, 4, 8, 16, 30, 30]


def test_what_ends_for_weeks_is_still_started_again() -> None:
    assert pause_seconds(100_000, longest=30) == 30
