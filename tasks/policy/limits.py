"""What a decision must keep to: the budget's hours, the worker's width, and where the job's model calls run. Pure; the
clock is an argument."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tasks.deadline import Clock, Deadline
from tasks.policy.endings import JUDGES, rejected
from tasks.scoring import deciding, goal_of
from tasks.types import (
    CheckSpec,
    Draft,
    Egress,
    EscalationKind,
    HelpRules,
    Iteration,
    Job,
    JobSpec,
    Lane,
    Limits,
    Modality,
    Operator,
)

# The kind of check whose candidates are programs with functions to call.
EXECUTED = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopRules:
    """What a worker's loop goes by. `width` is how many slots its engine serves a job at once, 0 without an engine;
    `modalities` are what its model takes and `models` the names that it goes by; `help` says when a job asks for help;
    while the circuit of the provider that `skips` names for a kind of help is open, jobs go on without that kind; the
    rest counts rejected iterations."""

    width: int
    move_up_after: int
    escalate_after: int
    modalities: frozenset[Modality] = frozenset(Modality)
    models: frozenset[str] = frozenset()
    help: HelpRules = field(default_factory=HelpRules)
    skips: Mapping[EscalationKind, str] = field(default_factory=dict)


def limits_of(job: Job, rules: LoopRules) -> Limits:
    """What a decision on the job must keep to, as things stood when it was read. Its iterations are those that are left
    for the history, which leaves out those of before a change of the checks."""
    left = job.spec.budget.iterations - len(job.earlier)
    return Limits(
        budget=dataclasses.replace(job.spec.budget, iterations=left),
        spend=job.spend,
        hours=hours_used(job),
        # A batch leaves a job after each try, and its jobs keep the engine busy together.
        width=1 if job.batch is not None else rules.width or width_of(job, 1),
        decisive=is_decisive(job.spec.checks),
        executable=is_executable(job.spec),
        goal=goal_of(job.spec.checks),
        varies=may_vary(job.spec),
        files=bool(job.spec.files),
        seed=job.spec.seed,
        egress=(job.spec.egress or Egress.NEVER) if job.cloud else Egress.NEVER,
        away={kind: provider for kind, provider in rules.skips.items() if provider in job.away},
        escalate_after=rules.escalate_after,
        move_up_after=rules.move_up_after,
        help=rules.help,
    )


def is_decisive(checks: Sequence[CheckSpec]) -> bool:
    """Whether passing the checks proves an answer right: a program that is held out decides, or a comparison with the
    one right answer. Visible tests may be examples only, a pattern is about the form, and a judge has an opinion."""
    return any(check.kind not in JUDGES and (check.held_out or _knows_the_answer(check)) for check in checks)


def is_executable(spec: JobSpec) -> bool:
    """Whether candidates are programs with functions to call; several files are none."""
    return not spec.files and any(check.kind == EXECUTED for check in spec.checks)


def may_vary(spec: JobSpec) -> bool:
    """Whether variants of a candidate that no model writes may be measured: not where that costs a model's tokens, and
    not where the best of so many would be the best by chance, as the score is noisy or held out."""
    check = deciding(spec.checks)
    if check is None or check.held_out or spec.files or any(one.kind in JUDGES for one in spec.checks):
        return False
    return not check.value.get("noise")


def _knows_the_answer(check: CheckSpec) -> bool:
    return check.kind == "answer" and not (isinstance(check.value, Mapping) and "regex" in check.value)


def hours_used(job: Job) -> float:
    """Wall hours of the job up to when it was read: since a worker first took it, less the time it was paused. By the
    database's clock: a worker's may be wrong by minutes."""
    if job.read_at is None:
        return 0.0
    return ((job.read_at - job.started_at).total_seconds() - job.idle_seconds) / 3600


def deadline_of(job: Job, clock: Clock) -> Deadline:
    """When the hours of a job that was read just now are over. Its hours are by the database's clock, what is left of
    them passes by the worker's own."""
    left = job.spec.budget.hours - hours_used(job)
    return Deadline(at=clock() + left * 3600, hours=job.spec.budget.hours, clock=clock)


def width_of(job: Job, otherwise: int) -> int:
    """How many candidates the job's drafting worker makes at once, `otherwise` where it has drafted none: only a worker
    with an engine knows its own width."""
    pending = [job.open.move.slots] if job.open is not None and isinstance(job.open.move, Draft) else []
    drafted = [len(i.candidates) for i in job.iterations if i.operator in (Operator.DRAFT, Operator.RESTART)]
    return max([*pending, *drafted], default=otherwise)


def engine_lane(lane: Lane, history: Sequence[Iteration], limits: Limits) -> Lane:
    """Where the model calls of a job of `lane` run: from lane fast it moves up to the large model after `move_up_after`
    rejected iterations."""
    return Lane.GPU if lane is Lane.FAST and rejected(history) >= limits.move_up_after else lane
