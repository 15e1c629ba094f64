from __future__ import annotations

from workers.engine.backoff import LONGEST_PAUSE_SECONDS, WELL_AFTER_SECONDS, Backoff


def test_each_end_in_a_row_doubles_the_pause_up_to_the_longest() -> None:
    backoff = Backoff(1.0)
    assert [backoff.pause_after(3.0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE_SECONDS, 60]


def test_an_engine_that_ran_well_is_started_again_soon() -> None:
    backoff = Backoff(1.0)
    for _ in range(5):
        backoff.pause_after(3.0)
    assert [backoff.pause_after(WELL_AFTER_SECONDS + 1), backoff.pause_after(3.0)] == [1, 2]
