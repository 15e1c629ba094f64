"""Scores that are measured with noise: how often the incumbent is replaced by a candidate that is no better, in a
simulation with a seed, through the real check and the real choice of the incumbent."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Sequence

import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.ports import Heartbeat
from tasks.scoring import fitness_of, incumbents
from tasks.types import Candidate, CandidateRef, CheckSpec, Iteration, Operator, SandboxJob, SandboxResult
from tasks.validators.score import ScoreValidator

ITERATIONS, JOBS = 40, 60
DEVIATION = 0.1  # of a measurement, in parts of what is measured
TRUE = 100.0


class NoisySandbox:
    """Runs no program: gives the candidate's number with normal noise."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def run(self, job: SandboxJob, heartbeat: Heartbeat) -> SandboxResult:
        true = float(bytes(job.files["candidate"]))
        return SandboxResult(exit_code=0, stdout=f"{true * self._chance.gauss(1, DEVIATION)}\n", stderr="", seconds=0.1)


def check_of(goal: str, repeats: int, noise: float) -> CheckSpec:
    """The check as it is submitted."""
    options = {"goal": goal, "repeats": repeats, "noise": noise}
    value, files = ScoreValidator().parse({"score": ["python", "-c", "", "{candidate}"], **options}, None)
    return CheckSpec(name="score", kind="score", value=value, files=files)


def searched(truths: Sequence[float], check: CheckSpec, sandbox: NoisySandbox) -> list[int]:
    """A search that measures candidates with these true values one after the other; which were the incumbents."""
    history = []
    for number, truth in enumerate(truths, 1):
        verdict = ScoreValidator().validate(str(truth), check, sandbox, SilentHeartbeat())
        ref = CandidateRef(iteration=number, slot=0)
        candidate = Candidate(ref=ref, operator=Operator.DRAFT, text=str(truth), root=ref, verdicts=(verdict,))
        candidate = dataclasses.replace(candidate, fitness=fitness_of([verdict], [check]), accepted=verdict.passed)
        history.append(Iteration(number=number, operator=Operator.DRAFT, candidates=(candidate,)))
    best = incumbents(history, check.value["noise"])
    return [one.ref.iteration for one, _ in itertools.groupby(best) if one is not None]


@pytest.mark.parametrize("goal", ["maximise", "minimise"])
def test_of_equal_candidates_one_in_a_hundred_at_most_replaces_the_incumbent(goal: str) -> None:
    """Ten percent of noise, five repeats, and a margin of one and a half times the noise."""
    sandbox, check = NoisySandbox(16), check_of(goal, repeats=5, noise=1.5 * DEVIATION * TRUE)
    false = sum(len(searched([TRUE] * ITERATIONS, check, sandbox)) - 1 for _ in range(JOBS))
    assert false <= 0.01 * JOBS * (ITERATIONS - 1)


def test_without_repeats_and_margin_many_would() -> None:
    """The simulation finds what these options are there for."""
    sandbox, check = NoisySandbox(16), check_of("maximise", repeats=1, noise=0.0)
    false = sum(len(searched([TRUE] * ITERATIONS, check, sandbox)) - 1 for _ in range(JOBS))
    assert false > 0.05 * JOBS * (ITERATIONS - 1)


@pytest.mark.parametrize(("goal", "better"), [("maximise", 1.5 * TRUE), ("minimise", 0.5 * TRUE)])
def test_an_improvement_well_beyond_the_noise_is_found(goal: str, better: float) -> None:
    sandbox, check = NoisySandbox(16), check_of(goal, repeats=5, noise=1.5 * DEVIATION * TRUE)
    truths = [TRUE] * 5 + [better] + [TRUE] * 5
    assert all(searched(truths, check, sandbox)[-1] == 6 for _ in range(JOBS))
