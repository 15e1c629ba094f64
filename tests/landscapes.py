"""Whole runs of a strategy on landscapes: an answer is a number, its value the height there, and the author reads the
prompt as a model does. No database, no engine. `python -m tests.landscapes` prints how `evolve` and `climb` do."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import mean
from typing import Any

from tasks.escalation import NoCloud
from tasks.operators import Operators
from tasks.policy import Climb, Evolve, repeated
from tasks.ports import Strategy
from tasks.prompts.layout import WHOLE
from tasks.sampling import call_seed
from tasks.scoring import reaches
from tasks.turn import Turn
from tasks.types import (
    Budget,
    CallKey,
    Candidate,
    CandidateRef,
    CheckSpec,
    Completion,
    Decision,
    Egress,
    Goal,
    Iteration,
    Limits,
    Mutate,
    OpenIteration,
    Spend,
    Stop,
    Verdict,
    operator_of,
)
from tests.turns import job_of, turn_of

# What the score check of every landscape is called.
HEIGHT = CheckSpec(name="score:height", kind="score", value={"goal": "maximise"})
_X = re.compile(r"^x = (-?[\d.]+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """`height` gives the value at a place, None where an answer is invalid. The first plan of everybody begins in
    `first`, every other one in `elsewhere`; a change goes at most a `step` far. An answer has `lines` more lines."""

    height: Callable[[float], float | None]
    first: tuple[float, float]
    elsewhere: tuple[float, float]
    step: float = 0.5
    lines: int = 0


def hill(x: float) -> float | None:
    """One top, of height 0 at 7."""
    return -abs(x - 7)


def two_hills(x: float) -> float | None:
    """A lower top of height 1 at -5, the higher one of height 3 at 5, and nothing between them."""
    return max(1 - abs(x + 5), 3 - abs(x - 5), -1.0)


def narrow(x: float) -> float | None:
    """A hill of which most places are invalid."""
    return None if int(abs(x) * 100) % 3 else hill(x)


HILL = Landscape(height=hill, first=(-9, 9), elsewhere=(-9, 9))
# Whoever begins with the first plan comes to the lower top.
TRAP = Landscape(height=two_hills, first=(-6.5, -3.5), elsewhere=(3, 7))
# One first draft in eight begins at the foot of a higher hill, below most others.
RIVALS = Landscape(
    height=lambda x: 1 - abs(x + 5) if x < 0 else min(2.5 * x - 2.5, 20 - x), first=(-6, 0.9), elsewhere=(-6, 0.9)
)
INVALID = Landscape(height=narrow, first=(-9, 9), elsewhere=(-9, 9))
LONG = dataclasses.replace(HILL, lines=40)


@dataclass
class Author:
    """Stands for a journalled model: its answer is a function of the prompt and the call's key. `edits` says what comes
    of it where edits are requested: the edit, a whole answer, or one that does not apply."""

    landscape: Landscape
    seed: int
    edits: str = "edit"
    prompts: list[str] = field(default_factory=list)
    warmth: list[int] = field(default_factory=list)

    def ask(self, turn: Turn, key: CallKey, build: Any, *, warmth: int = 0, **rest: Any) -> Completion:
        prompt = build(WHOLE)[-1].content
        self.prompts.append(prompt)
        self.warmth.append(warmth)
        there = _X.findall(prompt)
        chance = random_of(f"{call_seed(self.seed, key)}:{prompt}")
        if "# Change" not in prompt and not there:
            low, high = self.landscape.elsewhere if "by another plan" in prompt else self.landscape.first
            return self._written(low + chance * (high - low))
        x = float(there[0]) + (2 * chance - 1) * self.landscape.step * (1 + warmth)
        if "<<<<<<< SEARCH" not in prompt or self.edits == "whole":
            return self._written(x)
        old = f"x = {there[0]}" if self.edits == "edit" else "x is wrong"
        return _completion(f"<<<<<<< SEARCH\n{old}\n=======\nx = {x:.6f}\n>>>>>>> REPLACE\n")

    def _written(self, x: float) -> Completion:
        rest = "".join(f"# line {n} of this answer, which says nothing about x\n" for n in range(self.landscape.lines))
        return _completion(f"Here it is.\n```python\nx = {x:.6f}\n{rest}```\n")


@dataclass(frozen=True, kw_only=True)
class Run:
    history: tuple[Iteration, ...]
    decisions: tuple[Decision, ...]
    author: Author

    @property
    def best(self) -> float:
        return max((c.fitness for c in self.candidates if c.fitness is not None), default=float("-inf"))

    @property
    def candidates(self) -> list[Candidate]:
        return [candidate for iteration in self.history for candidate in iteration.candidates]

    def best_after(self, iterations: int) -> float:
        return dataclasses.replace(self, history=self.history[:iterations]).best


def explore(
    strategy: Strategy,
    landscape: Landscape,
    *,
    seed: int = 0,
    width: int = 2,
    iterations: int = 48,
    edits: str = "edit",
    goal: Goal | None = None,
    egress: Egress = Egress.NEVER,
) -> Run:
    """Plays the strategy until it stops. Its moves are carried out by the real operators."""
    author = Author(landscape, seed, edits)
    operators = Operators(model=author, cloud=NoCloud())  # type: ignore[arg-type]
    goal = goal or Goal()
    limits = Limits(
        budget=Budget(usd=Decimal(1), hours=4, iterations=iterations, tokens=9_000_000),
        spend=Spend(), hours=0.0, width=width, goal=goal, seed=seed, egress=egress,
    )  # fmt: skip
    job = job_of(problem="Climb.", checks=(HEIGHT,), seed=seed)
    decisions: list[Decision] = []
    while not isinstance(move := strategy.decide(job.history, limits), Stop):
        decisions.append(move)
        opened = OpenIteration(number=len(job.history) + 1, move=move)
        made: list[Candidate] = []
        for candidate in operators.attempt(turn_of(dataclasses.replace(job, open=opened)), opened):
            one = measured(candidate, landscape, goal)
            earlier = (*(c for i in job.history for c in i.candidates), *made)
            made.append(dataclasses.replace(one, repeats=repeated(one, earlier, executable=False)))
        iteration = Iteration(number=opened.number, operator=operator_of(move), candidates=tuple(made))
        job = dataclasses.replace(job, history=(*job.history, iteration))
    return Run(history=job.history, decisions=(*decisions, move), author=author)


def measured(candidate: Candidate, landscape: Landscape, goal: Goal) -> Candidate:
    """The candidate with the verdict of its height."""
    place = _X.search(candidate.text)
    unapplied = "<<<<<<<" in candidate.text
    value = None if place is None or unapplied else landscape.height(float(place[1]))
    verdict = Verdict(
        check=HEIGHT.name, kind=HEIGHT.kind, passed=value is not None, score=0.0, value=value,
        feedback="" if value is not None else f"{place[0] if place else 'no x'} is out of bounds",
    )  # fmt: skip
    return dataclasses.replace(candidate, verdicts=(verdict,), fitness=value, accepted=reaches(value, goal))


def random_of(name: str) -> float:
    """In [0, 1), a function of `name`."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big") / 2**48


def parents_of(run: Run) -> list[CandidateRef]:
    """Those of all mutations, in their order."""
    return [ref for decision in run.decisions if isinstance(decision, Mutate) for ref in decision.parents]


def _completion(text: str) -> Completion:
    return Completion(
        text=text, finish_reason="stop", model="author", prompt_tokens=1, cached_tokens=0, completion_tokens=1,
        seconds=0.0,
    )  # fmt: skip


def main() -> None:
    """How both strategies do with four candidates at once, over seeds that no test has."""
    seeds = range(200, 280)
    for strategy in (Climb(), Evolve()):
        hills = [explore(strategy, HILL, seed=seed, width=4, iterations=24) for seed in seeds]
        early, late = (mean(run.best_after(iterations) for run in hills) for iterations in (12, 24))
        rivals = sum(explore(strategy, RIVALS, seed=seed, width=4, iterations=24).best > 3 for seed in seeds)
        left = sum(explore(strategy, TRAP, seed=seed, width=4, iterations=24).best > 2.8 for seed in seeds[:32])
        print(
            f"{strategy.name}: one hill {early:.2f} after 12 iterations, {late:.2f} after 24; "
            f"the higher of two hills in {rivals} of {len(seeds)}; left the lower top in {left} of 32"
        )


if __name__ == "__main__":
    main()
