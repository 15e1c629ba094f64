"""Scores five points in the unit square by the least distance between two of them. Its one argument is the file with
the answer, whose function `place()` runs in a process of its own: nothing that it prints or changes is a score."""

import math
import sys
from itertools import combinations

from redraft_evaluation import Refused, Solution, last_block, report

POINTS = 5
SECONDS = 10


def is_point(value):
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(x, int | float) and not isinstance(x, bool) and 0 <= x <= 1 for x in value)
    )


def evaluate():
    with Solution(last_block(sys.argv[1]), "place", SECONDS) as solution:  # the function, and seconds for its calls
        points = solution.call()
    if not isinstance(points, list) or len(points) != POINTS:
        raise Refused(f"place() must return a list of {POINTS} pairs (x, y).")
    for number, point in enumerate(points):
        if not is_point(point):
            raise Refused(f"Point {number} is {str(point)[:80]}, not a pair of numbers from 0 to 1.")
    pairs = [(math.dist(points[i], points[j]), i, j) for i, j in combinations(range(POINTS), 2)]
    least, i, j = min(pairs)
    return least, {"mean_distance": sum(pair[0] for pair in pairs) / len(pairs)}, f"Points {i} and {j} are the closest."


report(evaluate)
