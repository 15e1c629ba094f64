"""The examples with a score, each from its job file to its end: real Postgres, real sandbox, the evaluators as they
are, and a scripted model whose first answer is invalid, whose second is valid and whose third is better."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest

from tasks.client import Client
from tasks.heartbeat import SilentHeartbeat
from tasks.jobflags import Flags
from tasks.llm.scripted import ScriptedModel
from tasks.sampling import Sampling
from tasks.settings import load_settings
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.submit import Rules, read_jobs
from tasks.types import JobSpec, JobState
from tasks.validators import registry
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.best_known import COMPARATORS, EXPRESSION
from tests.loops import ENGINE_AND_CHECKS, take, twin_loop
from workers.packaged import ops
from workers.strategies import load_strategies

pytestmark = pytest.mark.integration
EXAMPLES = ops("examples")
ITERATIONS = 3
TARGET_MISSED = {"c_kernel", "circle_packing"}
ANSWER_TOKENS = 2048

FIRST_FIT = "def choose(item, free):\n    return 0 if free else -1\n"
IN_ORDER = "def tour(cities):\n    return list(range(len(cities)))\n"
THREE_LOOPS = """void multiply(int n, const double *a, const double *b, double *c) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++)
                sum += a[i * n + k] * b[k * n + j];
            c[i * n + j] = sum;
        }
}
"""


def baseline(name: str) -> str:
    [path] = (EXAMPLES / name).glob("baseline.*")
    return path.read_text()


SMALLER_CIRCLES = baseline("circle_packing").replace("* row, 0.1)", "* row, 0.09)")
ANSWERS = {
    "circle_packing": ("def pack():\n    return []\n", SMALLER_CIRCLES, baseline("circle_packing")),
    "bin_packing": ("def choose(item, free):\n    return 5000\n", FIRST_FIT, baseline("bin_packing")),
    "sorting_network": ("[[0, 1]]", json.dumps([*COMPARATORS, [7, 8]]), json.dumps(COMPARATORS)),
    "tsp": ("def tour(cities):\n    return [0]\n", IN_ORDER, baseline("tsp")),
    "regex_golf": ("a", baseline("regex_golf"), EXPRESSION),
    "c_kernel": ("void multiply(void) {}\n", THREE_LOOPS, baseline("c_kernel")),
}


def read(name: str) -> JobSpec:
    rules = Rules(validators=registry, strategies=tuple(load_strategies().working))
    [spec] = read_jobs([str(EXAMPLES / name / "job.md")], Flags(), rules, bytes).specs
    return dataclasses.replace(spec, budget=dataclasses.replace(spec.budget, iterations=ITERATIONS))


def run(fleet: Database, name: str) -> None:
    answers = itertools.chain(ANSWERS[name], itertools.repeat(ANSWERS[name][-1]))
    loop = twin_loop(
        PostgresLedger(fleet, fault_cap=3),
        ScriptedModel(lambda _request: f"```\n{next(answers)}\n```"),
        sampling=Sampling(answer_tokens=ANSWER_TOKENS, review_tokens=ANSWER_TOKENS),
        strategies=load_strategies().working,
        sandbox=BubblewrapSandbox(default_runtime_folder(load_settings().cache)),
    )
    while (claim := take(fleet)) is not None:
        loop.turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())


def test_there_are_answers_for_every_example_with_a_score() -> None:
    assert sorted(path.parent.name for path in EXAMPLES.glob("*/job.md")) == sorted(ANSWERS)


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_the_answer_is_the_best_of_what_was_measured(alice: Client, fleet: Database, name: str) -> None:
    job = alice.submit(read(name))[0]
    run(fleet, name)
    summary, [invalid, first, better] = alice.summary(job), [row.value for row in alice.history(job)]
    assert invalid is None
    assert first is not None
    assert better is not None
    assert better > first if name == "circle_packing" else better < first
    assert summary.value == better
    assert ANSWERS[name][-1].strip() in (summary.answer or "")
    # Without a target the best valid answer is accepted when the budget is spent.
    assert summary.state is (JobState.UNSOLVED if name in TARGET_MISSED else JobState.ACCEPTED)
