"""Rates with their intervals. Tasks are the sample: a strategy's runs on one task are averaged first, and intervals are
those of a bootstrap over tasks, paired where two strategies are compared (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993). Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.judge_rates import Tally
from workers.bench.runs import Run

RESAMPLES = 10_000
LEVEL = 0.95
_TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value and its 95 % interval; None where nothing was counted."""

    value: float | None
    low: float | None
    high: float | None


NOTHING = Estimate(value=None, low=None, high=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A strategy over all tasks. Rates are shares of runs; `chosen` is the share of right answers where any candidate
    was right; tokens are completion tokens; `differences` are in the rate of solved tasks, to the named strategies, and
    `twin` is the one to the strategy's own twin, where it has one."""

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
    twin: Estimate | None = None


def summarize(
    runs: Sequence[Run], references: Sequence[str] = (), *, twins: Mapping[str, str] | None = None, seed: int = 0
) -> tuple[Summary, ...]:
    """One summary a strategy, in the order in which they first occur. Every strategy must have run on every task.
    `twins` names, for a strategy, the one that alone it is compared with besides the `references`. Raises `ValueError`
    where a strategy has not run on a task."""
    names, tasks = tuple(dict.fromkeys(run.strategy for run in runs)), sorted({run.task for run in runs})
    table = {name: _by_task([run for run in runs if run.strategy == name], tasks) for name in names}
    drawn = _draws(len(tasks), seed)
    known, own = [other for other in references if other in table], twins or {}
    return tuple(_summary(name, table, drawn, known, own.get(name)) for name in names)


def solve_rate(tasks: Mapping[str, Sequence[bool]], *, seed: int = 0) -> Estimate:
    """The share of solved runs, given by task: each task counts once, however many runs it has. Of one task alone it is
    a share of its runs, with the interval of E. B. Wilson (1927): resampling one task would tell nothing."""
    if not tasks:
        return NOTHING
    if len(tasks) == 1:
        return _wilson(next(iter(tasks.values())))
    return _ratio(_shares(tasks, list(tasks)), np.ones(len(tasks)), _draws(len(tasks), seed))


def rate_difference(
    one: Mapping[str, Sequence[bool]], other: Mapping[str, Sequence[bool]], *, seed: int = 0
) -> Estimate:
    """How much larger the first rate is, over the tasks that stand on both sides: paired. Where none does, each side's
    tasks are drawn for themselves. Of one task alone it has the interval of R. G. Newcombe (1998, method 10)."""
    shared = [task for task in one if task in other]
    if not one or not other:
        return NOTHING
    if len(shared) == 1:
        return _newcombe(one[shared[0]], other[shared[0]])
    if shared:
        differences = _shares(one, shared) - _shares(other, shared)
        return _ratio(differences, np.ones(len(shared)), _draws(len(shared), seed))
    if len(one) == len(other) == 1:
        return _newcombe(*one.values(), *other.values())
    first, second = _shares(one, list(one)), _shares(other, list(other))
    drawn = first[_draws(len(first), seed)].mean(axis=1) - second[_draws(len(second), seed + 1)].mean(axis=1)
    low, high = np.quantile(drawn, _TAILS)
    return Estimate(value=float(first.mean() - second.mean()), low=float(low), high=float(high))


def _shares(tasks: Mapping[str, Sequence[bool]], names: Sequence[str]) -> Values:
    """The share of solved runs of each of these tasks."""
    return np.array([sum(tasks[name]) / len(tasks[name]) for name in names], dtype=np.float64)


def _draws(tasks: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, tasks, (RESAMPLES, tasks))


def _wilson(solved: Sequence[bool]) -> Estimate:
    low, high = _tally(solved).interval
    return Estimate(value=_tally(solved).share, low=low, high=high)


def _newcombe(one: Sequence[bool], other: Sequence[bool]) -> Estimate:
    first, second = _tally(one), _tally(other)
    (low, high), (other_low, other_high) = first.interval, second.interval
    difference = first.share - second.share
    below = math.hypot(first.share - low, other_high - second.share)
    above = math.hypot(high - first.share, second.share - other_low)
    return Estimate(value=difference, low=difference - below, high=difference + above)


def _tally(solved: Sequence[bool]) -> Tally:
    return Tally(passed=sum(solved), cases=len(solved))


def _by_task(runs: Sequence[Run], tasks: Sequence[str]) -> Sequence[Sequence[Run]]:
    grouped: dict[str, list[Run]] = {task: [] for task in tasks}
    for run in runs:
        grouped[run.task].append(run)
    missing = [task for task, found in grouped.items() if not found]
    if missing:
        raise ValueError(f"{runs[0].strategy} has no run on {', '.join(missing[:5])}")
    return list(grouped.values())


def _summary(
    name: str,
    table: Mapping[str, Sequence[Sequence[Run]]],
    drawn: NDArray[np.int64],
    references: Sequence[str],
    twin: str | None,
) -> Summary:
    groups = table[name]
    solved, ones = _means(groups, lambda run: run.solved), np.ones(len(groups))
    tokens = _means(groups, lambda run: run.completion_tokens)
    any_right = _means(groups, lambda run: run.any_right)
    accepted = _means(groups, lambda run: run.accepted)
    calls = _means(groups, lambda run: run.calls)

    def to(other: str) -> Estimate:
        return _ratio(solved - _means(table[other], lambda run: run.solved), ones, drawn)

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
        differences={other: to(other) for other in references if other != name},
        twin=to(twin) if twin else None,
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
    low, high = np.quantile(ratios, _TAILS)
    return Estimate(value=float(above.sum() / below.sum()), low=float(low), high=float(high))
