"""What decides on a job: its strategy, and around it what holds for every strategy. Pure."""

from __future__ import annotations

from tasks.policy.advice import Advised
from tasks.policy.changed import Rechecked
from tasks.policy.evaluations import Counted
from tasks.policy.started import Started
from tasks.ports import Decider
from tasks.types import Job


def decider(strategy: Decider, job: Job) -> Decider:
    """The strategy's decisions on the job with those that follow from its owner's answer, changed checks and advice,
    within its budget of evaluations."""
    advised = Advised(strategy=Rechecked(strategy=Started(strategy=strategy, job=job), job=job), job=job)
    return Counted(strategy=advised, job=job)
