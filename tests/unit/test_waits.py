"""How long an escalation waits for its provider, and when that is enough."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.waits import FIRST_SECONDS, JITTER, LONGEST_SECONDS, WaitRules, pause

RULES = WaitRules(tries=3, seconds=100.0)
FINE: dict[str, Any] = {"tries": 1, "waited": 0.0, "seconds": 10.0, "left": math.inf}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ""),
        ({"tries": 2, "waited": 90.0}, ""),
        ({"tries": 3}, "it was tried 3 times"),
        ({"waited": 95.0}, "it would have waited 105 s in all, and may wait 100 s"),
        ({"seconds": 7200.0}, "it would have waited 7,200 s in all, and may wait 100 s"),
        ({"left": 10.0}, "the job's hours end before it may be sent again"),
    ],
)
def test_tries_time_and_the_jobs_hours_bound_a_wait(changed: dict[str, Any], said: str) -> None:
    assert RULES.enough(**{**FINE, **changed}) == said


@given(st.integers(1, 1000), st.text(max_size=8))
def test_a_pause_grows_up_to_the_longest_and_is_the_same_for_the_same_seed(tries: int, seed: str) -> None:
    seconds = pause(tries, seed, None)
    assert seconds == pause(tries, seed, None)
    least = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(tries - 1, 10))
    assert least <= seconds <= least * (1 + JITTER)


@given(st.floats(0, 1e6), st.text(max_size=8))
def test_a_provider_is_never_asked_before_the_moment_that_it_named(named: float, seed: str) -> None:
    assert max(1.0, named) <= pause(1, seed, named) <= max(1.0, named * (1 + JITTER))


def test_jobs_that_were_told_the_same_moment_do_not_all_come_back_at_it() -> None:
    assert len({pause(1, str(job), 20.0) for job in range(20)}) == 20
