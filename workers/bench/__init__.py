"""The bench: what a strategy is worth on a set of tasks, at equal completion tokens."""
