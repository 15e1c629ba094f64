"""Scores a heuristic for the travelling salesman problem by how much longer its tours are than the best, in percent.

    evaluate.py ANSWER            three instances of TSPLIB, whose optimum is known
    evaluate.py ANSWER --seed N   three random instances that the seed makes, beside a lower bound of their optimum

The answer's function `tour(cities)` runs in a process of its own. It is given a list of points [x, y] and returns the
order in which they are visited, a permutation of their indices. Distances are TSPLIB's EUC_2D: Euclidean, rounded to
whole numbers.

The lower bound is that of Held and Karp (Operations Research 18, 1970), approached by the subgradient method over
1-trees. On random instances it lies about 0.7 % below the optimum (Johnson and McGeoch).
"""

import argparse
import math
import random
from collections import Counter

from redraft_evaluation import Refused, Solution, last_block, report

SIZES, SIDE = (60, 80, 100), 1000
SECONDS = 15
ROUNDS = 150  # of the subgradient method; more raise the bound by less than 0.1 %

# The coordinates and the optimum of each, from TSPLIB.
NAMED = {
    "berlin52": (
        7542,
        """
        565 575 25 185 345 750 945 685 845 655 880 660 25 230 525 1000 580 1175 650 1130 1605 620 1220 580 1465 200
        1530 5 845 680 725 370 145 665 415 635 510 875 560 365 300 465 520 585 480 415 835 625 975 580 1215 245 1320
        315 1250 400 660 180 410 250 420 555 575 665 1150 1160 700 580 685 595 685 610 770 610 795 645 720 635 760
        650 475 960 95 260 875 920 700 500 555 815 830 485 1170 65 830 610 605 625 595 360 1340 725 1740 245
    """,
    ),
    "eil51": (
        426,
        """
        37 52 49 49 52 64 20 26 40 30 21 47 17 63 31 62 52 33 51 21 42 41 31 32 5 25 12 42 36 16 52 41 27 23 17 33
        13 13 57 58 62 42 42 57 16 57 8 52 7 38 27 68 30 48 43 67 58 48 58 27 37 69 38 46 46 10 61 33 62 63 63 69 32
        22 45 35 59 15 5 6 10 17 21 10 5 64 30 15 39 10 32 39 25 32 25 55 48 28 56 37 30 40
    """,
    ),
    "st70": (
        675,
        """
        64 96 80 39 69 23 72 42 48 67 58 43 81 34 79 17 30 23 42 67 7 76 29 51 78 92 64 8 95 57 57 91 40 35 68 40 92
        34 62 1 28 43 76 73 67 88 93 54 6 8 87 18 30 9 77 13 78 94 55 3 82 88 73 28 20 55 27 43 95 86 67 99 48 83 75
        81 8 19 20 18 54 38 63 36 44 33 52 18 12 13 25 5 58 85 5 67 90 9 41 76 25 76 37 64 56 63 10 55 98 7 16 74 89
        60 48 82 81 76 29 60 17 22 5 45 79 70 9 100 17 82 74 67 10 68 48 19 83 86 84 94
    """,
    ),
}


def named_instances():
    """The points and the length of the best tour, by name."""
    for name, (best, text) in NAMED.items():
        numbers = [int(number) for number in text.split()]
        cities = list(zip(numbers[::2], numbers[1::2], strict=True))
        yield name, cities, best


def random_instances(seed):
    """The points and a lower bound of the best tour, by name."""
    numbers = random.Random(seed)
    for size in SIZES:
        cities = [(numbers.randrange(SIDE), numbers.randrange(SIDE)) for _ in range(size)]
        yield f"random{size}", cities, bound(cities)


def distance(a, b):
    return int(math.dist(a, b) + 0.5)


def bound(cities):
    """The Held-Karp bound, in whole units of length."""
    size = len(cities)
    lengths = [[distance(a, b) for b in cities] for a in cities]
    weights, best, step = [0.0] * size, 0.0, 0.0
    for number in range(ROUNDS):
        total, degrees = one_tree(lengths, weights)
        best = max(best, total)
        step = step or total / (2 * size)
        for city in range(size):
            weights[city] += step * (1 - number / ROUNDS) * (degrees[city] - 2) / 2
    return math.ceil(best - 1e-6)


def one_tree(lengths, weights):
    """The weighted length and the degrees of the least spanning tree over all cities but the first, and of its two
    shortest edges (Prim's algorithm)."""
    size = len(lengths)
    degrees, total = [0] * size, -2 * sum(weights)
    reach, parent = [math.inf] * size, [1] * size
    rest, city = set(range(2, size)), 1
    while rest:
        row, own = lengths[city], weights[city]
        for other in rest:
            cost = row[other] + own + weights[other]
            if cost < reach[other]:
                reach[other], parent[other] = cost, city
        city = min(rest, key=reach.__getitem__)
        rest.remove(city)
        total += reach[city]
        degrees[city] += 1
        degrees[parent[city]] += 1
    shortest = sorted(range(1, size), key=lambda other: lengths[0][other] + weights[other])[:2]
    for other in shortest:
        total += lengths[0][other] + weights[0] + weights[other]
        degrees[other] += 1
    degrees[0] = 2
    return total, degrees


def length(cities, order, name):
    """The length of the closed tour. Raises `Refused` unless each city is in it once."""
    size = len(cities)
    if not isinstance(order, list) or any(not isinstance(city, int) or isinstance(city, bool) for city in order):
        raise Refused(f"tour() must return a list of indices; for {name} it returned {str(order)[:80]}.")
    if sorted(order) != list(range(size)):
        missing = sorted(set(range(size)) - set(order))
        twice = sorted(city for city, times in Counter(order).items() if times > 1)
        raise Refused(
            f"The tour of {name} must hold each of the indices 0 to {size - 1} once; it holds {len(order)}, misses "
            f"{missing[:5]} and has {twice[:5]} more than once."
        )
    return sum(distance(cities[a], cities[b]) for a, b in zip(order, order[1:] + order[:1], strict=True))


def evaluate():
    parser = argparse.ArgumentParser()
    parser.add_argument("answer")
    parser.add_argument("--seed", type=int)
    given = parser.parse_args()
    instances = list(named_instances() if given.seed is None else random_instances(given.seed))
    found = {}
    with Solution(last_block(given.answer), "tour", SECONDS) as solution:
        for name, cities, best in instances:
            found[name] = 100 * (length(cities, solution.call(cities), name) / best - 1)
    excess = sum(found.values()) / len(found)
    each = ", ".join(f"{name} {value:.2f} %" for name, value in found.items())
    return excess, found, f"It is valid; tours are longer than the best by {excess:.3f} %: {each}."


report(evaluate)
