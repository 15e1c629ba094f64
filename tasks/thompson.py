"""How likely a job's next iteration is to solve it, as a draw of Thompson sampling. Pure: counts and chance are
arguments; it knows no job.

Each (family, earlier iterations, partly passed) is an arm whose chance of success has a Beta distribution. What all
families together came to at that number of iterations is its prior, so that a new family begins where the others are
and soon speaks for itself. W. R. Thompson, Biometrika 25 (1933); leaving a job after each try, so that tries spread
evenly first, is Reset-and-Discard (arXiv 2601.21522).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

# From here on jobs are counted together: few get so far, and another failure says little more.
MOST_EARLIER = 12
# What the families together weigh in the prior of one, in iterations.
POOLED_WEIGHT = 4.0
# What the assumption about jobs in general weighs beside what was counted, in iterations.
ASSUMED_WEIGHT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Iterations that solved their job, and those that did not."""

    solved: int = 0
    failed: int = 0


def expected_tokens(tokens: int, iterations: int, own: Counts, pooled: Counts, chance: random.Random) -> float:
    """What a solution is expected to cost, in tokens: those of the job's mean iteration, divided by a draw of the
    chance that its next one solves it. `tokens` are what its `iterations` have used."""
    return max(1.0, tokens / iterations) / max(1e-6, draw(iterations, own, pooled, chance))


def draw(earlier: int, own: Counts, pooled: Counts, chance: random.Random) -> float:
    """A draw of the chance, in [0, 1], that an iteration solves a job which `earlier` ones did not. `own` are the
    counts of its arm, `pooled` those of all families at that number of iterations."""
    mean = _pooled_mean(earlier, pooled)
    return chance.betavariate(POOLED_WEIGHT * mean + own.solved, POOLED_WEIGHT * (1 - mean) + own.failed)


def _pooled_mean(earlier: int, pooled: Counts) -> float:
    """The mean over all families. Before anything is counted: that of a job whose chance is Beta(1/2, 1/2) (Jeffreys'
    prior) after so many failures."""
    assumed = 0.5 / (1 + earlier)
    counted = pooled.solved + pooled.failed
    return (pooled.solved + ASSUMED_WEIGHT * assumed) / (counted + ASSUMED_WEIGHT)
