"""Answers to the examples with a score that reach the best known value; ops/docs/examples.md has their sources."""

# For 12 inputs, in an order of its layers.
NETWORK = """
    0-8 1-7 2-6 3-11 4-10 5-9 0-1 2-5 3-4 6-9 7-8 10-11 0-2 1-6 5-10 9-11 0-3 1-2 4-6 5-7 8-11 9-10 1-4 3-5 6-8 7-10
    1-3 2-5 6-9 8-10 2-3 4-5 6-7 8-9 4-6 5-7 3-4 5-6 7-8
"""
EXPRESSION = "po|i.*o|bu|o.*o|j|a.a|a.t|v.l|r.i|rc|ay.|ma|n.e"
COMPARATORS = [[int(wire) for wire in pair.split("-")] for pair in NETWORK.split()]
