"""Whole runs of `evolve` and `climb` on landscapes whose best place is known."""

from __future__ import annotations

from itertools import pairwise
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.policy import Climb, Evolve
from tasks.ports import Strategy
from tasks.types import (
    Mutate,
    Operator,
    Revise,
)
from tests.landscapes import HILL, INVALID, LONG, RIVALS, TRAP, Landscape, explore, parents_of

both = st.sampled_from([Evolve(), Climb()])
SEEDS = range(6)


@pytest.mark.parametrize("strategy", [Evolve(), Climb()])
@pytest.mark.parametrize("landscape", [HILL, LONG])
def test_it_keeps_improving(strategy: Strategy, landscape: Landscape) -> None:
    runs = [explore(strategy, landscape, seed=seed) for seed in SEEDS]
    heights = [mean(run.best_after(n) for run in runs) for n in (4, 12, 24, 48)]
    assert all(later > earlier for earlier, later in pairwise(heights))
    assert heights[-1] > -1.0


def test_evolve_leaves_a_local_top_by_another_plan_and_climb_stays_on_it() -> None:
    assert all(explore(Climb(), TRAP, seed=seed).best < 1.001 for seed in SEEDS)
    assert all(explore(Evolve(), TRAP, seed=seed).best > 2.8 for seed in SEEDS)


def test_evolve_comes_to_the_higher_top_from_an_island_that_began_lower() -> None:
    climbed = [explore(Climb(), RIVALS, seed=seed, width=4, iterations=24).best > 3 for seed in range(24)]
    evolved = [explore(Evolve(), RIVALS, seed=seed, width=4, iterations=24).best > 3 for seed in range(24)]
    assert sum(evolved) > sum(climbed) + 3


@settings(max_examples=15, deadline=None)
@given(both, st.sampled_from([HILL, TRAP, INVALID, LONG]), st.integers(0, 99), st.integers(1, 6))
def test_no_prompt_of_a_change_comes_twice(strategy: Strategy, landscape: Landscape, seed: int, width: int) -> None:
    run = explore(strategy, landscape, seed=seed, width=width, iterations=16)
    changes = [prompt for prompt in run.author.prompts if "\nChange " in prompt]
    assert len(changes) == len(parents_of(run))
    assert len(set(changes)) == len(changes)


@settings(max_examples=15, deadline=None)
@given(both, st.sampled_from([HILL, INVALID]), st.integers(0, 99), st.integers(1, 6))
def test_parents_and_inspirations_are_valid_and_each_failure_is_repaired_at_most_once(
    strategy: Strategy, landscape: Landscape, seed: int, width: int
) -> None:
    run = explore(strategy, landscape, seed=seed, width=width, iterations=16)
    known = {candidate.ref: candidate for candidate in run.candidates}
    repaired = [ref for decision in run.decisions if isinstance(decision, Revise) for ref in decision.parents]
    assert len(set(repaired)) == len(repaired)
    assert all(known[ref].fitness is None and known[ref].operator is not Operator.REVISE for ref in repaired)
    for decision in run.decisions:
        if isinstance(decision, Mutate):
            assert len(decision.parents) == width
            assert all(known[ref].fitness is not None for ref in (*decision.parents, *decision.inspirations))


@settings(max_examples=8, deadline=None)
@given(both, st.integers(0, 99))
def test_a_decision_is_a_function_of_history_limits_and_seed(strategy: Strategy, seed: int) -> None:
    first, again = (explore(strategy, INVALID, seed=seed, iterations=20) for _ in range(2))
    assert first.decisions == again.decisions
    assert [c.text for c in first.candidates] == [c.text for c in again.candidates]
