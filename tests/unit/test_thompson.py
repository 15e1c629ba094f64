from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.thompson import Counts, draw, expected_tokens

counts = st.builds(Counts, solved=st.integers(0, 10**6), failed=st.integers(0, 10**6))


def mean(earlier: int, own: Counts, pooled: Counts) -> float:
    chance = random.Random(1)
    return statistics.fmean(draw(earlier, own, pooled, chance) for _ in range(4000))


@given(st.integers(0, 100), counts, counts, st.integers())
def test_a_draw_is_a_probability_and_the_same_for_the_same_seed(
    earlier: int, own: Counts, pooled: Counts, seed: int
) -> None:
    drawn = draw(earlier, own, pooled, random.Random(seed))
    assert 0 <= drawn <= 1
    assert drawn == draw(earlier, own, pooled, random.Random(seed))


def test_before_anything_is_counted_each_failure_makes_a_solution_less_likely() -> None:
    means = [mean(earlier, Counts(), Counts()) for earlier in range(4)]
    assert means == sorted(means, reverse=True)
    assert means[0] == pytest.approx(0.5, abs=0.02)


def test_a_family_of_which_nothing_is_known_is_taken_for_one_like_the_others() -> None:
    others = Counts(solved=90, failed=10)
    assert mean(1, Counts(), others) == pytest.approx(0.9, abs=0.02)


def test_a_family_that_is_known_speaks_for_itself() -> None:
    hard = Counts(solved=0, failed=100)
    assert mean(1, hard, Counts(solved=900, failed=200)) < 0.05


def test_a_draw_varies_the_more_the_less_is_counted() -> None:
    chance = random.Random(1)
    few = [draw(1, Counts(solved=1, failed=1), Counts(), chance) for _ in range(500)]
    many = [draw(1, Counts(solved=500, failed=500), Counts(), chance) for _ in range(500)]
    assert statistics.stdev(few) > 5 * statistics.stdev(many)


def test_a_job_whose_iterations_are_dear_goes_after_one_as_likely_whose_are_not() -> None:
    known = Counts(solved=5000, failed=5000)
    cheap, dear = (expected_tokens(tokens, 2, known, known, random.Random(1)) for tokens in (200, 2000))
    assert dear == pytest.approx(10 * cheap)
    assert cheap == pytest.approx(200, rel=0.1)
