"""Scores an online heuristic for bin packing by the bins it needs beyond the lower bound, in percent.

    evaluate.py ANSWER [--seed N]

The answer's function `choose(item, free)` is called once for each item, in a process of its own, before the next item
is known there; this program keeps the bins. Instances are those of FunSearch's "Weibull 5k" in kind: 5,000 items of
sizes from a Weibull distribution of scale 45 and shape 3, and bins of 100. The seed makes them.
"""

import argparse
import random

from redraft_evaluation import Refused, Solution, last_block, report

INSTANCES, ITEMS, CAPACITY = 3, 5000, 100
SCALE, SHAPE = 45, 3
SECONDS = 30


def instance(numbers):
    """The sizes of the items, whole numbers from 1 to the capacity of a bin."""
    return [min(CAPACITY, max(1, round(numbers.weibullvariate(SCALE, SHAPE)))) for _ in range(ITEMS)]


def pack(items, solution):
    """The free space of each bin after the last item. Raises `Refused`."""
    bins = []
    for item in items:
        fitting = [index for index, free in enumerate(bins) if free >= item]
        chosen = solution.call(item, [bins[index] for index in fitting])
        if not isinstance(chosen, int) or isinstance(chosen, bool) or not -1 <= chosen < len(fitting):
            raise Refused(
                f"choose({item}, free) with {len(fitting)} bins that have room returned {str(chosen)[:80]}; "
                f"it must return an index into free, or -1 for a new bin."
            )
        if chosen == -1:
            bins.append(CAPACITY - item)
        else:
            bins[fitting[chosen]] -= item
    return bins


def evaluate():
    parser = argparse.ArgumentParser()
    parser.add_argument("answer")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    numbers = random.Random(given.seed)
    used, bound, wasted = 0, 0, 0
    with Solution(last_block(given.answer), "choose", SECONDS) as solution:
        for _ in range(INSTANCES):
            items = instance(numbers)
            bins = pack(items, solution)
            used += len(bins)
            bound += -(-sum(items) // CAPACITY)  # the L1 bound: the sizes' sum in whole bins
            wasted += sum(free for free in bins if free >= CAPACITY // 4)
    excess = 100 * (used - bound) / bound
    said = f"It is valid; {used} bins where at least {bound} are needed, {excess:.3f} % more. "
    said += f"{100 * wasted / CAPACITY / bound:.2f} % of the space is lost in bins that are still a quarter empty."
    return excess, {"bins": used, "lower_bound": bound}, said


report(evaluate)
