"""Scores a packing of 26 circles in the unit square by the sum of their radii. Its one argument is the file with the
answer, whose function `pack()` returns 26 triples (x, y, radius) and runs in a process of its own.

Whether a packing is valid is decided in exact arithmetic with fractions, so that no rounding error of this program can
decide it: a circle may leave the square, and two may overlap, by at most TOLERANCE.
"""

import math
import sys
from fractions import Fraction
from itertools import combinations

from redraft_evaluation import Refused, Solution, last_block, report

CIRCLES = 26
TOLERANCE = Fraction(1, 10**9)
SECONDS = 10


def exact(packing):
    """The circles as fractions; every float is one. Raises `Refused`."""
    if not isinstance(packing, list) or len(packing) != CIRCLES:
        count = f"a list of {len(packing)}" if isinstance(packing, list) else type(packing).__name__
        raise Refused(f"pack() must return {CIRCLES} triples (x, y, radius), not {count}.")
    circles = []
    for number, circle in enumerate(packing):
        if not isinstance(circle, list) or len(circle) != 3 or not all(is_number(value) for value in circle):
            raise Refused(f"Circle {number} is {str(circle)[:80]}, not three finite numbers (x, y, radius).")
        circles.append(tuple(Fraction(value) for value in circle))
    return circles


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e6


def faults(circles):
    """Every way in which the packing breaks the rules, in words."""
    for number, (x, y, radius) in enumerate(circles):
        if radius < 0:
            yield f"the radius of circle {number} is negative"
        if min(x, y, 1 - x, 1 - y) - radius < -TOLERANCE:
            yield f"circle {number} leaves the square by {float(radius - min(x, y, 1 - x, 1 - y)):.3g}"
    for (i, (x, y, radius)), (j, (u, v, other)) in combinations(enumerate(circles), 2):
        reach = radius + other - TOLERANCE
        if reach > 0 and (x - u) ** 2 + (y - v) ** 2 < reach**2:
            overlap = float(radius + other) - math.dist((x, y), (u, v))
            yield f"circles {i} and {j} overlap by {overlap:.3g}"


def gaps(circles):
    """The free space around each circle by which it alone could grow, largest first: (gap, number)."""
    plain = [tuple(map(float, circle)) for circle in circles]
    for number, (x, y, radius) in enumerate(plain):
        walls = min(x, y, 1 - x, 1 - y) - radius
        others = [math.dist((x, y), (u, v)) - radius - r for j, (u, v, r) in enumerate(plain) if j != number]
        yield min(walls, *others), number


def evaluate():
    with Solution(last_block(sys.argv[1]), "pack", SECONDS) as solution:
        circles = exact(solution.call())
    broken = list(faults(circles))
    if broken:
        raise Refused(f"{len(broken)} faults: {'; '.join(broken[:5])}.")
    total = float(sum(radius for _, _, radius in circles))
    loose = sorted(((gap, number) for gap, number in gaps(circles) if gap > 1e-6), reverse=True)
    room = ", ".join(f"circle {number} by {gap:.3g}" for gap, number in loose[:5])
    said = f"It is valid; the sum of the radii is {total:.8f}. "
    said += f"{len(loose)} circles could still grow where they are: {room}." if loose else "No circle can grow alone."
    return total, {"loose_circles": len(loose), "smallest_radius": float(min(r for _, _, r in circles))}, said


report(evaluate)
