"""The six examples with a score, each from its job file to its end: real Postgres, real sandbox, a scripted model whose
first answer is invalid, and whose best one must be the job's answer."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from tasks.client import Client
from tasks.llm.scripted import ScriptedModel
from tasks.store.invariants import breaches
from tasks.store.session import Database
from tasks.types import ChatRequest, JobSpec, JobState
from tests.integration.test_examples import read, run
from tests.unit.test_examples_score import BEST_EXPRESSION, BEST_NETWORK
from workers.packaged import ops

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
EXAMPLES = ops("examples")
NETWORK = [[int(wire) for wire in pair.split("-")] for pair in BEST_NETWORK.split()]


def fenced(text: str) -> str:
    return f"```\n{text.strip()}\n```"


def baseline(name: str) -> str:
    [path] = (EXAMPLES / name).glob("baseline.*")
    return fenced(path.read_text())


SLOW_KERNEL = """
void multiply(int n, const double *a, const double *b, double *c) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            volatile double sum = 0;
            for (int k = 0; k < n; k++)
                sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
}
"""
ANSWERS = {
    "bin_packing": (
        fenced("def choose(item, free):\n    return len(free)"),
        baseline("bin_packing"),
        fenced("def choose(item, free):\n    return 0 if free else -1"),
    ),
    "c_kernel": (
        baseline("c_kernel").replace("a[i * n + k]", "(float)a[i * n + k]"),
        baseline("c_kernel"),
        fenced(SLOW_KERNEL),
    ),
    "circle_packing": (
        fenced("def pack():\n    return [(0.5, 0.5, 0.1)] * 26"),
        baseline("circle_packing"),
        baseline("circle_packing").replace("0.1 * (2**0.5 - 1)", "0.03"),
    ),
    "regex_golf": (fenced("."), baseline("regex_golf"), fenced(BEST_EXPRESSION)),
    "sorting_network": (fenced("[[0, 1]]"), baseline("sorting_network"), fenced(str(NETWORK))),
    "tsp": (
        fenced("def tour(cities):\n    return []"),
        baseline("tsp"),
        fenced("def tour(cities):\n    return list(range(len(cities)))"),
    ),
}
# Their target is reached by the last answer; the others go on to the end of their budget, here after three iterations.
REACHED = ("regex_golf", "sorting_network")
# Their target is not reached.
MISSED = ("c_kernel", "circle_packing")


def job(name: str) -> JobSpec:
    """The example, with so many iterations as there are answers."""
    spec = read(f"{name}/job")
    return dataclasses.replace(spec, budget=dataclasses.replace(spec.budget, iterations=len(ANSWERS[name])))


def model(name: str) -> ScriptedModel:
    answers = iter(ANSWERS[name])

    def answer(request: ChatRequest) -> str:
        return "NO PROBLEMS" if "List the problems" in request.messages[-1].content else next(answers)

    return ScriptedModel(answer)


def test_there_are_answers_for_every_example() -> None:
    assert sorted(path.parent.name for path in EXAMPLES.glob("*/job.md")) == sorted(ANSWERS)


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_an_example_ends_with_its_best_answer(alice: Client, fleet: Database, name: str) -> None:
    if name == "c_kernel" and shutil.which("cc", path="/usr/bin:/bin") is None:
        pytest.skip("there is no C compiler here")
    number = alice.submit(job(name))[0]
    run(fleet, model(name))
    summary = alice.summary(number)
    best = ANSWERS[name][-1 if name in REACHED else 1]
    assert (summary.iterations, summary.answer) == (3, best), summary.reason
    assert summary.state is (JobState.UNSOLVED if name in MISSED else JobState.ACCEPTED), summary.reason
    values = [[v.value for v in i.verdicts] for i in alice.history(number)]
    assert values[0][0] is None
    assert all(value is not None for each in values[1:] for value in each)
    assert breaches(fleet, drained=True) == ()
