"""Rates with their intervals. Tasks are the sample: a strategy's runs on one task are averaged first, and intervals are
those of a bootstrap over tasks, paired where two strategies are compared (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993). Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.bench.runs import Run

RESAMPLES = 10_000
LEVEL = 0.95
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value and its 95 % interval; None where nothing was counted."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A strategy over all tasks. Rates are shares of runs; `chosen` is the share of right answers where any candidate
    was right; tokens are completion tokens; `differences` are in the rate of solved tasks, to the named strategies."""

    strategy: str
    tasks: int
    runs: int
    solved: Estimate
    false_accepted: Estimate
    coverage: Estimate
    chosen: Estimate
    tokens_per_solved: Estimate
    seconds_per_solved: Estimate
    tokens: float
    looped: float
    repeated: float
    differences: Mapping[str, Estimate]


def summarize(runs: Sequence[Run], references: Sequence[str] = (), *, seed: int = 0) -> tuple[Summary, ...]:
    """One summary a strategy, in the order in which they first occur. Every strategy must have run on every task.
    Raises `ValueError` where one has not."""
    names, tasks = tuple(dict.fromkeys(run.strategy for run in runs)), sorted({run.task for run in runs})
    table = {name: _by_task([run for run in runs if run.strategy == name], tasks) for name in names}
    drawn = np.random.default_rng(seed).integers(0, len(tasks), (RESAMPLES, len(tasks)))
    return tuple(_summary(name, table, drawn, [other for other in references if other in table]) for name in names)


def _by_task(runs: Sequence[Run], tasks: Sequence[str]) -> Sequence[Sequence[Run]]:
    grouped: dict[str, list[Run]] = {task: [] for task in tasks}
    for run in runs:
        grouped[run.task].append(run)
    missing = [task for task, found in grouped.items() if not found]
    if missing:
        raise ValueError(f"{runs[0].strategy} has no run on {', '.join(missing[:5])}")
    return list(grouped.values())


def _summary(
    name: str, table: Mapping[str, Sequence[Sequence[Run]]], drawn: NDArray[np.int64], references: Sequence[str]
) -> Summary:
    groups = table[name]
    solved, ones = _means(groups, lambda run: run.solved), np.ones(len(groups))
    tokens = _means(groups, lambda run: run.completion_tokens)
    any_right = _means(groups, lambda run: run.any_right)
    accepted = _means(groups, lambda run: run.accepted)
    calls = _means(groups, lambda run: run.calls)
    return Summary(
        strategy=name,
        tasks=len(groups),
        runs=sum(map(len, groups)),
        solved=_ratio(solved, ones, drawn),
        false_accepted=_ratio(_means(groups, lambda run: run.falsely_accepted), accepted, drawn),
        coverage=_ratio(any_right, ones, drawn),
        chosen=_ratio(_means(groups, lambda run: run.right and run.any_right), any_right, drawn),
        tokens_per_solved=_ratio(tokens, solved, drawn),
        seconds_per_solved=_ratio(_means(groups, lambda run: run.seconds), solved, drawn),
        tokens=float(tokens.mean()),
        looped=float(_means(groups, lambda run: run.degenerate).sum() / max(1e-9, calls.sum())),
        repeated=float(_means(groups, lambda run: run.repeated_tokens).sum() / max(1e-9, tokens.sum())),
        differences={
            other: _ratio(solved - _means(table[other], lambda run: run.solved), ones, drawn)
            for other in references
            if other != name
        },
    )


def _means(groups: Sequence[Sequence[Run]], of: Callable[[Run], float]) -> Values:
    """The mean over a task's runs, for each task."""
    return np.array([sum(of(run) for run in group) / len(group) for group in groups], dtype=np.float64)


def _ratio(above: Values, below: Values, drawn: NDArray[np.int64]) -> Estimate:
    """Sum over sum, with the percentile interval over the drawn tasks; draws without any below are left out."""
    if not below.sum():
        return Estimate(value=None, low=None, high=None)
    sums = below[drawn].sum(axis=1)
    ratios = above[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
    low, high = np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value=float(above.sum() / below.sum()), low=float(low), high=float(high))
