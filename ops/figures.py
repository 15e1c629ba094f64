"""How the benches read and print their numbers: intervals, quantiles, tables. Knows nothing of what was measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

# Student's t, two-sided 95 %, for 1, 2, 3 … degrees of freedom.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """The geometric mean of `ratios` between the ends of its 95 % confidence interval (Student's t on logarithms)."""
    logs = [math.log(ratio) for ratio in ratios]
    middle, freedom = statistics.fmean(logs), len(logs) - 1
    if not freedom:
        return ratios[0], ratios[0], ratios[0]
    half = T_95[min(freedom, len(T_95)) - 1] * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(middle - half), math.exp(middle), math.exp(middle + half)


def share_interval(count: int, of: int) -> tuple[float, float]:
    """Clopper and Pearson's exact interval of 95 % for `count` in `of` (Biometrika 26, 1934)."""
    if of == 0:
        return 0.0, 1.0
    low = 0.0 if count == 0 else _solve(lambda p: 1 - _binomial_cdf(count - 1, of, p) - 0.025)
    high = 1.0 if count == of else _solve(lambda p: 0.025 - _binomial_cdf(count, of, p))
    return low, high


def _solve(rising: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def _binomial_cdf(count: int, of: int, p: float) -> float:
    if p <= 0 or p >= 1:
        return float(p <= 0 or count >= of)
    logs = (
        math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * math.log(p) + (of - k) * math.log1p(-p)
        for k in range(count + 1)
    )
    return min(1.0, math.fsum(map(math.exp, logs)))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], pad: Callable[[str, int], str] = str.ljust) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n" + "\n".join(lines)
