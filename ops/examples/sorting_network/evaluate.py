"""Scores a sorting network for 12 inputs by its number of comparators. Its one argument is the file with the answer,
whose last list of pairs [i, j], i < j, is the network: each puts the lesser of the wires i and j on i.

The answer is data; nothing of it is run. By the 0-1 principle (Knuth, The Art of Computer Programming, volume 3, 5.3.4)
a network sorts all inputs if it sorts all of zeros and ones. All 4,096 of them pass through at once: bit k of a wire's
number is its value for the k-th input.
"""

import itertools
import json
import sys

from redraft_evaluation import Refused, last_block, report

WIRES = 12
INPUTS = 2**WIRES
MOST = 500


def read_network(path):
    """The comparators of the answer, (i, j) with i < j. Raises `Refused`."""
    text = last_block(path)
    start, end = text.find("["), text.rfind("]")
    try:
        pairs = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        raise Refused("The answer must be one JSON list of pairs, such as [[0, 1], [2, 3]].") from None
    if not isinstance(pairs, list) or not pairs or len(pairs) > MOST:
        raise Refused(f"The network must be a list of 1 to {MOST} pairs.")
    for pair in pairs:
        whole = isinstance(pair, list) and len(pair) == 2 and all(type(wire) is int for wire in pair)
        if not whole or not 0 <= pair[0] < pair[1] < WIRES:
            raise Refused(f"{str(pair)[:80]} is no pair [i, j] of wires with 0 <= i < j <= {WIRES - 1}.")
    return [tuple(pair) for pair in pairs]


def run(network):
    """The wires' values after the network, for every input, and the comparators that never exchange anything."""
    wires = [sum(1 << k for k in range(INPUTS) if k >> wire & 1) for wire in range(WIRES)]
    idle = []
    for number, (i, j) in enumerate(network):
        if not wires[i] & ~wires[j]:
            idle.append(number)
        wires[i], wires[j] = wires[i] & wires[j], wires[i] | wires[j]
    return wires, idle


def evaluate():
    network = read_network(sys.argv[1])
    wires, idle = run(network)
    unsorted = 0
    for first, second in itertools.pairwise(wires):
        unsorted |= first & ~second
    if unsorted:
        example = (unsorted & -unsorted).bit_length() - 1
        given = [example >> wire & 1 for wire in range(WIRES)]
        got = [wires[wire] >> example & 1 for wire in range(WIRES)]
        raise Refused(
            f"The {len(network)} comparators leave {unsorted.bit_count()} of the {INPUTS:,} inputs of zeros and ones "
            f"unsorted: {given} comes out as {got}."
        )
    said = f"It is valid: {len(network)} comparators sort every input. "
    said += (
        f"Those numbered {idle[:10]} from 0 never exchange anything and can be left out."
        if idle
        else "Each of them exchanges something for some input."
    )
    return len(network), {"idle_comparators": len(idle), "depth": depth(network)}, said


def depth(network):
    """The number of steps if comparators of different wires work at the same time."""
    busy = [0] * WIRES
    for i, j in network:
        busy[i] = busy[j] = max(busy[i], busy[j]) + 1
    return max(busy)


report(evaluate)
