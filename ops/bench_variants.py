"""What variants without a model are worth: `make bench-variants`.

`evolve` and `climb` measure variants of their best candidate (`tasks/edits/variants.py`). Nothing else is done here: it
begins with the simple starts of `make bench-evolve`, and with the baselines of the same examples, and goes on from the
best of each batch, the last of equal ones, for `--evaluations` candidates, or until none is left. Printed are how many
were valid, at which one the first gain came, and the best value after each quarter. No model is asked, and nothing is
kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from bench_demo import processor
from bench_directions import Parent, parents
from evolve_problems import problems
from figures import table

from tasks.edits import variants_of
from tasks.heartbeat import SilentHeartbeat
from tasks.policy.variation import VARIANTS
from tasks.ports import Checks
from tasks.scoring import fitness_of
from tasks.settings import load_settings
from workers.cli.bench_parts import checks_of

QUARTERS = 4


@dataclass(kw_only=True)
class Descent:
    """What came of one answer. `found` holds the fitness of each candidate, None of an invalid one."""

    name: str
    start: float
    found: list[float | None] = field(default_factory=list)

    @property
    def first_gain(self) -> int | None:
        """The number of the first better candidate, from 1."""
        return next((n for n, one in enumerate(self.found, 1) if one is not None and one > self.start), None)

    def best_after(self, evaluations: int) -> float:
        """The best fitness among the first so many candidates and the start."""
        return max([self.start, *(one for one in self.found[:evaluations] if one is not None)])


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", choices=(known := [p.name for p in problems()]), default=known)
    parser.add_argument("--evaluations", type=int, default=400, help="candidates of each answer")
    parser.add_argument("--parallel", type=int, default=2, help="evaluations at once")
    given = parser.parse_args()
    checks = checks_of(load_settings())
    descents = [
        descend(checks, parent, given.evaluations, given.parallel) for parent in parents(checks, given.problems)
    ]
    print(f"{processor()}; at most {given.evaluations} variants of each answer, {VARIANTS} at once")
    print(_table(descents, given.evaluations))


def descend(checks: Checks, parent: Parent, evaluations: int, parallel: int) -> Descent:
    """Measures variants of the last that is as good as the best so far, a batch at a time."""
    before, best, fitness = "", parent.candidate.text, parent.candidate.fitness
    assert fitness is not None, "parents are valid"
    descent, had = Descent(name=parent.name, start=fitness), {best}

    def evaluate(text: str) -> float | None:
        verdicts = checks.validate(text, parent.job.spec.checks, SilentHeartbeat())
        return fitness_of(verdicts, parent.job.spec.checks)

    with ThreadPoolExecutor(parallel) as executor:
        while len(descent.found) < evaluations:
            batch = list(islice(variants_of(best, before, had), VARIANTS))
            if not batch:
                break
            found = list(executor.map(evaluate, batch))
            had.update(batch)
            descent.found += found
            value = max(_known(found))
            if value >= fitness:
                text = batch[len(batch) - 1 - found[::-1].index(value)]
                before, best, fitness = best, text, value
    return descent


def _known(found: Sequence[float | None]) -> Sequence[float]:
    return [float("-inf") if one is None else one for one in found]


def _table(descents: Sequence[Descent], evaluations: int) -> str:
    after = [evaluations * (quarter + 1) // QUARTERS for quarter in range(QUARTERS)]
    rows = [
        [
            one.name,
            str(len(one.found)),
            str(sum(value is not None for value in one.found)),
            str(one.first_gain or "-"),
            f"{abs(one.start):.6g}",
            *(f"{abs(one.best_after(count)):.6g}" for count in after),
        ]
        for one in descents
    ]
    return table(("answer", "variants", "valid", "first gain", "its value", *map(str, after)), rows, str.rjust)


if __name__ == "__main__":
    main()
