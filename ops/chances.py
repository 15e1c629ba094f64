"""How likely a candidate of a task is right, over a set of tasks: a Beta distribution, whose draws the simulations play
and by which their bounds reckon. Knows nothing of what is done with it."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workers.bench.pool import PooledDraft, read_pool

# Qwen2.5-Coder-1.5B on HumanEval.
PASS_AT_1, PASS_AT_4 = 0.45, 0.72


@dataclass(frozen=True, slots=True, kw_only=True)
class Chances:
    """Beta(`alpha`, `beta`)."""

    alpha: float
    beta: float

    @classmethod
    def of(cls, one: float, several: float, draws: int) -> Chances:
        """The one with so large a share of tasks right at the first draw, and so large a share among `draws`; both
        between 0 and 1, the second the larger, and at most what draws of one common chance would give."""
        low, high = 1e-3, 1e3
        for _ in range(100):
            middle = math.sqrt(low * high)
            made = cls(alpha=one * middle, beta=(1 - one) * middle)
            low, high = (middle, high) if 1 - made.failed(draws) < several else (low, middle)
        return cls(alpha=one * low, beta=(1 - one) * low)

    @classmethod
    def of_pool(cls, path: Path) -> Chances:
        """The one with the share of right drafts of a recorded pool, and of tasks of which one of two drafts is right;
        the greedy draft counts as one. Raises `InvalidInput` where the file is no pool."""
        tasks = [[draft.right for draft in drafts] for drafts in drafts_of(path).values()]
        pairs = [rights for rights in tasks if len(rights) > 1]
        one = statistics.fmean(statistics.fmean(rights) for rights in tasks)
        both_wrong = statistics.fmean(math.comb(r.count(False), 2) / math.comb(len(r), 2) for r in pairs)
        return cls.of(one, 1 - both_wrong, 2)

    @property
    def mean(self) -> float:
        """The share that is right at the first draw."""
        return self.alpha / (self.alpha + self.beta)

    def draw(self, chance: random.Random) -> float:
        """A task's chance."""
        return chance.betavariate(self.alpha, self.beta)

    def failed(self, draws: int) -> float:
        """The share of tasks of which none of so many draws is right."""
        return _failed(self.alpha, self.beta, draws)

    def hazard(self, failures: int) -> float:
        """How likely the next draw is right, of a task of which so many were not."""
        return self.alpha / (self.alpha + self.beta + failures)


@cache
def _failed(alpha: float, beta: float, draws: int) -> float:
    return math.prod((beta + n) / (alpha + beta + n) for n in range(draws))


def drafts_of(path: Path) -> dict[str, Sequence[PooledDraft]]:
    """The drafts of a recorded pool by task. Raises `InvalidInput` where it is no pool."""
    pool = read_pool(path)
    return {task: pool.of(task) for task in sorted({task for task, _ in pool.drafts})}


HUMANEVAL = Chances.of(PASS_AT_1, PASS_AT_4, 4)
