"""A task of a bench: a job, and the checks that say afterwards whether its answer is right."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass
from enum import StrEnum

from tasks.types import CheckSpec, JobSpec


class Mode(StrEnum):
    """Whether the scoring checks are part of the job: `checker`, as held-out checks of it; `blind`, not at all."""

    CHECKER = "checker"
    BLIND = "blind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """`spec` is the job with its visible checks alone; the `scoring` checks, held out, say whether an answer is
    right."""

    name: str
    spec: JobSpec
    scoring: tuple[CheckSpec, ...]

    def job(self, mode: Mode) -> JobSpec:
        """The job as it is submitted in `mode`. Its prompts are the same in both."""
        if mode is Mode.BLIND:
            return self.spec
        return dataclasses.replace(self.spec, checks=(*self.spec.checks, *self.scoring))


SAMPLE_SEED = 20261129


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSet:
    """Named tasks, in their order."""

    name: str
    tasks: tuple[Task, ...]

    def sample(self, number: int) -> tuple[Task, ...]:
        """So many of the tasks, drawn with a fixed seed: a smaller sample is the beginning of a larger one."""
        drawn = random.Random(f"{SAMPLE_SEED}:{self.name}")  # noqa: S311  (a sample, no secret)
        return tuple(drawn.sample(self.tasks, len(self.tasks)))[:number]
