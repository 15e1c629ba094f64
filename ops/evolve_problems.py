"""The problems of `ops/bench_evolve.py`: five of the examples, and the simple answer that every side begins with. Knows
nothing of the sides."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from peers.counting import Share

from tasks.jobflags import Flags
from tasks.submit import Rules, read_jobs
from tasks.types import Egress, JobSpec
from tasks.validators import registry
from workers.packaged import ops
from workers.strategies import load_strategies


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An example, with a valid answer to begin with and the name of the file that it is."""

    name: str
    start: str
    file: str = "start.py"
    share: Share


CIRCLES = """def pack():
    circles = []
    for row in range(5):
        for column in range(6):
            circles.append(((column + 0.5) / 6, (row + 0.5) / 5, 0.08))
    return circles[:26]
"""
FIRST_FIT = "def choose(item, free):\n    return 0 if free else -1\n"
IN_ORDER = "def tour(cities):\n    return list(range(len(cities)))\n"


def _baseline(name: str) -> str:
    [path] = ops("examples").joinpath(name).glob("baseline.*")
    return path.read_text()


def problems() -> Sequence[Problem]:
    """All five: those whose evaluators measure no time."""
    return (
        Problem(name="circle_packing", start=CIRCLES, share=lambda value: value / 2.636),
        Problem(name="bin_packing", start=FIRST_FIT, share=lambda value: 100 / (100 + value)),
        Problem(name="tsp", start=IN_ORDER, share=lambda value: 100 / (100 + value)),
        Problem(
            name="sorting_network",
            start=_baseline("sorting_network"),
            file="start.json",
            share=lambda value: 39 / max(39, value),
        ),
        Problem(
            name="regex_golf",
            start=_baseline("regex_golf"),
            file="start.txt",
            share=lambda value: 47 / max(47, value),
        ),
    )


def job_of(problem: Problem) -> JobSpec:
    """The example with its visible score alone, without an end but its budget."""
    rules = Rules(validators=registry, strategies=tuple(load_strategies().working))
    path = ops("examples") / problem.name / "job.md"
    [spec] = read_jobs([str(path)], Flags(), rules, bytes).specs
    [check] = [check for check in spec.checks if not check.held_out]
    value = {name: option for name, option in check.value.items() if name not in ("target", "plateau")}
    return dataclasses.replace(
        spec,
        checks=(dataclasses.replace(check, value=value),),
        tags=("bench",),
        egress=Egress.NEVER,
        memory=False,
    )
