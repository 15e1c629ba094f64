"""The set `reasoning-gym`: named generators of that package with a seed, those whose answer is a whole number.

Source: the package reasoning-gym (Apache-2.0), whose generators come with verifiers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.errors import InvalidInput
from tasks.types import CheckSpec, JobSpec
from workers.bench.tasks import Task, TaskSet

SEED = 20261129
EACH = 5  # puzzles of each generator
# Generators whose answer is a whole number, so that the answer check decides as their own verifiers do.
GENERATORS = (
    "aiw",
    "basic_arithmetic",
    "binary_alternation",
    "chain_sum",
    "circuit_logic",
    "count_bits",
    "count_primes",
    "gcd",
    "gsm_symbolic",
    "lcm",
    "leg_counting",
    "letter_counting",
    "maze",
    "number_sequence",
    "products",
    "simple_equations",
)


def reasoning_gym(seed: int = SEED) -> TaskSet:
    """`EACH` puzzles of each generator. Raises `InvalidInput` where the package is not installed."""
    try:
        import reasoning_gym as gym
    except ImportError:
        allowed = "it needs the package reasoning-gym: `pip install redraft[bench]`"
        raise InvalidInput("set", "reasoning-gym", allowed) from None
    tasks = [
        _task(f"{name}/{number}", entry)
        for name in GENERATORS
        for number, entry in enumerate(gym.create_dataset(name, size=EACH, seed=seed))
    ]
    return TaskSet(name="reasoning-gym", tasks=tuple(tasks))


def _task(name: str, entry: Mapping[str, Any]) -> Task:
    visible = CheckSpec(name="answer-form", kind="answer", value={"regex": r"-?\d+"})
    answer = str(entry["answer"]).strip()
    scoring = CheckSpec(name="answer-value", kind="answer", value={"number": answer}, held_out=True)
    problem = f"{str(entry['question']).strip()}\n\nThe answer is one whole number, in digits."
    spec = JobSpec(title=name.partition("/")[0], problem=problem, checks=(visible,), memory=False, tags=("bench",))
    return Task(name=name, spec=spec, scoring=(scoring,))
