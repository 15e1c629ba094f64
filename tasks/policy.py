"""The next decision: pure functions of a job's history and its limits. No I/O, no randomness, no clock of its own.

Strategies are plug-ins over the same moves, so that each can be compared with the others at equal tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tasks.deadline import Clock, Deadline
from tasks.types import (
    Acceptance,
    Candidate,
    CandidateRef,
    Decision,
    Draft,
    Egress,
    Escalate,
    Iteration,
    Job,
    Lane,
    Limits,
    Modality,
    Operator,
    Revise,
    Stop,
    StopCode,
)

# Debugging decays by 60-80 % within two or three tries and a fresh start recovers it (arXiv 2506.18403).
REVISIONS_PER_LINEAGE = 3
# Where the same complaint has come this often, another revision will not answer it either.
SAME_CRITIQUE = 3
# Two answers with so large a share of common phrases differ in a word or two of a hundred. That may be the one repair
# that was needed, so it counts as a repetition only where the checks see no difference either.
NEARLY_EQUAL = 0.95
PHRASE_WORDS = 3

# Kinds of checks that give an opinion; acceptance by these alone is labelled `judged`.
JUDGES = frozenset({"judge"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopRules:
    """What a worker's loop goes by. `width` is how many slots its engine serves a job at once, 0 without an engine;
    `modalities` are what its model takes and `models` the names that it goes by; the rest counts rejected
    iterations."""

    width: int
    move_up_after: int
    escalate_after: int
    modalities: frozenset[Modality] = frozenset(Modality)
    models: frozenset[str] = frozenset()


class Single:
    """One draft, checked once."""

    name: ClassVar[str] = "single"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Drafts once and stops."""
        if not history:
            return Draft(slots=1)
        return accept(history) or Stop(code=StopCode.DRAFT_REJECTED)


class BestOfN:
    """Independent drafts, round after round, none of which learns from another."""

    name: ClassVar[str] = "best_of_n"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Drafts `width` candidates a round until one is accepted or the budget is spent."""
        return accept(history) or spent(history, limits) or Draft(slots=limits.width)


class Correct:
    """Draft, then review and revise the best lineages; a fresh start when they no longer improve, and the cloud, where
    it is allowed, when that does not help."""

    name: ClassVar[str] = "correct"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Draft → Revise (at most `REVISIONS_PER_LINEAGE` times a lineage) → Draft(restart) → … → Escalate → Stop"""
        if not history:
            return spent(history, limits) or Draft(slots=limits.width)
        stop = accept(history) or given_up(history) or spent(history, limits)
        return stop or escalate(history, limits) or self._next(history, limits)

    def _next(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        current = lineages(history)
        promising = [lineage for lineage in current if stuck(lineage) is None]
        if promising:
            heads = sorted(map(head, promising), key=lambda head: (head.score, head.ref), reverse=True)
            return Revise(parents=tuple(sorted(head.ref for head in heads[: limits.width])))
        reasons = sorted({stuck(lineage) or "" for lineage in current}) or ["every draft was degenerate"]
        return Draft(slots=limits.width, restart=True, why="; ".join(reasons))


def head(lineage: Sequence[Candidate]) -> Candidate:
    """The candidate of a lineage that is revised next: its best, the newest of equals; never a degenerate one."""
    return max((c for c in lineage if c.guard is None), key=lambda candidate: (candidate.score, candidate.ref))


def accept(history: Sequence[Iteration]) -> Stop | None:
    """The end of a job that has an accepted candidate: all checks passed, the held-out ones included."""
    for iteration in history:
        for candidate in iteration.candidates:
            if candidate.accepted:
                judged_only = all(verdict.kind in JUDGES for verdict in candidate.verdicts)
                return Stop(
                    code=StopCode.ACCEPTED,
                    detail=f"{candidate.ref.iteration}.{candidate.ref.slot}",
                    acceptance=Acceptance.JUDGED if judged_only else Acceptance.VERIFIED,
                )
    return None


def spent(history: Sequence[Iteration], limits: Limits) -> Stop | None:
    """The end of a job whose budget is spent."""
    budget, spend = limits.budget, limits.spend
    units: tuple[tuple[StopCode, float, float], ...] = (
        (StopCode.BUDGET_ITERATIONS, len(history), budget.iterations),
        (StopCode.BUDGET_HOURS, limits.hours, budget.hours),
        (StopCode.BUDGET_TOKENS, spend.local_tokens + spend.cloud_tokens, budget.tokens),
    )
    for code, used, limit in units:
        if used >= limit:
            return Stop(code=code, used=used, limit=limit)
    return None


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


def limits_of(job: Job, rules: LoopRules) -> Limits:
    """What a decision on the job must keep to, as things stood when it was read."""
    return Limits(
        budget=job.spec.budget,
        spend=job.spend,
        hours=hours_used(job),
        # A batch leaves a job after each try, and its jobs keep the engine busy together.
        width=1 if job.batch is not None else rules.width or width_of(job, 1),
        cloud=job.cloud and job.spec.egress is Egress.FULL,
        escalate_after=rules.escalate_after,
        move_up_after=rules.move_up_after,
    )


def width_of(job: Job, otherwise: int) -> int:
    """How many candidates the job's drafting worker makes at once, `otherwise` where it has drafted none: only a worker
    with an engine knows its own width."""
    pending = [job.open.move.slots] if job.open is not None and isinstance(job.open.move, Draft) else []
    drafted = [len(i.candidates) for i in job.history if i.operator in (Operator.DRAFT, Operator.RESTART)]
    return max([*pending, *drafted], default=otherwise)


def rejected(history: Sequence[Iteration]) -> int:
    """How many iterations had candidates of which none was accepted."""
    return sum(1 for i in history if i.candidates and not any(c.accepted for c in i.candidates))


def escalate(history: Sequence[Iteration], limits: Limits) -> Escalate | None:
    """The escalation: after `escalate_after` rejected iterations, once in a job."""
    escalated = any(iteration.operator is Operator.ESCALATE for iteration in history)
    failed = rejected(history)
    if not limits.cloud or escalated or failed < limits.escalate_after:
        return None
    return Escalate(why=f"{failed} iterations were rejected")


def given_up(history: Sequence[Iteration]) -> Stop | None:
    """The end of a job for which the cloud model's answer was rejected like the local ones."""
    if any(iteration.operator is Operator.ESCALATE and iteration.candidates for iteration in history):
        return Stop(code=StopCode.CLOUD_REJECTED)
    return None


def engine_lane(lane: Lane, history: Sequence[Iteration], limits: Limits) -> Lane:
    """Where the model calls of a job of `lane` run: from lane fast it moves up to the large model after `move_up_after`
    rejected iterations."""
    return Lane.GPU if lane is Lane.FAST and rejected(history) >= limits.move_up_after else lane


def lineages(history: Sequence[Iteration]) -> tuple[tuple[Candidate, ...], ...]:
    """The lineages since the last fresh start, each from its draft to its newest revision, oldest first.

    A degenerate draft begins none; a degenerate revision is part of its lineage, since it was a try.
    """
    grouped: dict[CandidateRef, list[Candidate]] = {}
    for iteration in history:
        if any(candidate.revision == 0 for candidate in iteration.candidates):
            grouped = {}
        for candidate in iteration.candidates:
            if candidate.revision > 0 and candidate.root in grouped:
                grouped[candidate.root].append(candidate)
            elif candidate.revision == 0 and candidate.guard is None:
                grouped[candidate.root] = [candidate]
    return tuple(tuple(lineage) for lineage in grouped.values())


def stuck(lineage: Sequence[Candidate]) -> str | None:
    """Why a lineage is not worth another revision, or None."""
    revisions = len(lineage) - 1
    if revisions >= REVISIONS_PER_LINEAGE:
        return f"{revisions} revisions failed"
    sound = [candidate for candidate in lineage if candidate.guard is None]
    if any(repeats(sound[-1], earlier) for earlier in sound[:-1]):
        return "a revision changed next to nothing"
    complaints = [complaint(candidate) for candidate in sound]
    if complaints and complaints.count(complaints[-1]) >= SAME_CRITIQUE:
        return f"the same critique {SAME_CRITIQUE} times"
    return None


def repeats(later: Candidate, earlier: Candidate) -> bool:
    """Whether a revision is the same answer again: in the same words, or nearly, and then with the same verdicts."""
    if later.text.split() == earlier.text.split():
        return True
    return _outcome(later) == _outcome(earlier) and similarity(later.text, earlier.text) >= NEARLY_EQUAL


def similarity(one: str, other: str) -> float:
    """The share of phrases of `PHRASE_WORDS` words that two texts have in common, counted as often as they occur
    (Dice's coefficient): 1.0 for equal words. White space and case are ignored."""
    left, right = _phrases(one), _phrases(other)
    return 2 * (left & right).total() / max(1, left.total() + right.total())


def _phrases(text: str) -> Counter[tuple[str, ...]]:
    words = text.lower().split()
    return Counter(tuple(words[start : start + PHRASE_WORDS]) for start in range(max(1, len(words) - PHRASE_WORDS + 1)))


def _outcome(candidate: Candidate) -> tuple[float, frozenset[str]]:
    return candidate.score, frozenset(verdict.check for verdict in candidate.verdicts if not verdict.passed)


def complaint(candidate: Candidate) -> tuple[tuple[str, str], ...]:
    """The failures of visible checks: the name of each and its feedback."""
    return tuple((v.check, v.feedback) for v in candidate.verdicts if not v.passed and not v.held_out)
