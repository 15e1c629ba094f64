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


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], pad: Callable[[str, int], str] = str.ljust) -> str:
    """Columns as wide as their widest cell."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n" + "\n".join(lines)
