"""The bench of batches: its bounds, and how a curve is read."""

from __future__ import annotations

import importlib
import math
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

OPS = Path(__file__).parents[2] / "ops"
POOL = Path(__file__).parents[1] / "pools" / "humaneval-qwen2.5-coder-1.5b.jsonl.xz"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("bench_batch")


def tasks(bench: ModuleType, *chances: float, tokens: int = 10) -> list[Any]:
    return [bench.Task(chance=chance, chances=bench.HUMANEVAL, tokens=tokens) for chance in chances]


def test_who_knows_the_chances_wastes_nothing_before_what_can_be_solved_is(bench: ModuleType) -> None:
    mixed = tasks(bench, 0.0, 1.0, 0.0, 1.0)
    told, known = (bench.best(mixed, 1, told=each) for each in (True, False))
    assert told.solved == [10, 20]
    assert known.solved == [20, 40], "every task once before any twice"
    lost = 2 * bench.ITERATIONS * 10
    assert told.spent == known.spent == 20 + lost
    assert told.lost == known.lost == lost


def test_of_tasks_alike_the_cheaper_comes_first(bench: ModuleType) -> None:
    costs = [bench.Task(chance=0.0, chances=bench.HUMANEVAL, tokens=tokens) for tokens in (10, 10_000)]
    order = [each.place for each in bench.best(costs, 1, told=False).tries]
    assert order == [0] * bench.ITERATIONS + [1] * bench.ITERATIONS


def test_both_bounds_make_the_same_tries_in_another_order(bench: ModuleType) -> None:
    for seed in range(5):
        chosen = bench.beta_tasks(random.Random(seed))
        told, known = (bench.best(chosen, seed, told=each) for each in (True, False))
        assert sorted((each.place, each.right) for each in told.tries) == sorted(
            (each.place, each.right) for each in known.tries
        )
        half = len(told.solved) // 2
        assert told.until(half) < known.until(half)


def test_in_order_each_worker_keeps_its_job_until_that_ends(bench: ModuleType) -> None:
    hopeless, easy = [0.0] * (bench.WORKERS - 1), [1.0] * 5
    curve = bench.in_order(tasks(bench, *hopeless, *easy), 2, 10**9, 1)
    first = [each.place for each in curve.tries[: 2 * bench.WORKERS]]
    assert first == [*range(bench.WORKERS), *range(bench.WORKERS - 1), bench.WORKERS]
    assert curve.solved == [20 * (bench.WORKERS * n) for n in range(1, 6)]
    assert curve.lost == len(hopeless) * bench.ITERATIONS * 20
    assert bench.in_order(tasks(bench, *easy), 2, 45, 1).solved == [20, 40], "the pot ends it"


def test_a_curve_is_read_at_a_pot_and_at_a_count(bench: ModuleType) -> None:
    made = [(5, 0, False), (10, 1, True), (15, 0, True), (20, 2, False)]
    curve = bench.Curve(tries=[bench.Try(used=used, place=place, right=right) for used, place, right in made])
    assert (curve.spent, curve.solved, curve.lost) == (20, [10, 15], 5)
    assert (curve.until(0), curve.until(2), curve.until(3)) == (0, 15, math.inf)
    early = curve.within(12)
    assert (early.spent, early.solved, early.lost) == (10, [10], 5)


def test_tasks_of_a_pool_are_drawn_with_what_its_drafts_say_and_cost(bench: ModuleType) -> None:
    drawn = bench.pooled_tasks(POOL, random.Random(1))
    assert len(drawn) == bench.TASKS
    assert drawn == bench.pooled_tasks(POOL, random.Random(1)) != bench.pooled_tasks(POOL, random.Random(2))
    share = sum(task.chance for task in drawn) / len(drawn)
    assert share == pytest.approx(drawn[0].chances.mean, abs=0.1)
    assert len({task.tokens for task in drawn}) > 10, "what a draft takes is its task's own"


def test_families_differ_by_what_they_are_drawn_from(bench: ModuleType) -> None:
    drawn = bench.family_tasks(random.Random(1))
    means = {task.family: round(task.chances.mean, 2) for task in drawn}
    assert means == {f"p{mean * 100:.0f}": mean for mean in bench.FAMILIES}
