"""What to do next: pure functions of a job's past and its limits. No clock, no I/O, no randomness.

Strategies are plug-ins over the same moves, so that each can be compared with the others at equal tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

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
# The same complaint this often means that the lineage cannot hear it.
SAME_CRITIQUE = 3
# Two answers that share this part of their phrases differ in a word or two of a hundred. That may be the one repair
# that was needed, so it is a loop only where the checks see no difference either.
NEARLY_EQUAL = 0.95
PHRASE_WORDS = 3

# Kinds of checks that give an opinion; acceptance by these alone is labelled `judged`.
JUDGES = frozenset({"judge"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopRules:
    """What a worker's loop goes by. `width` is how many slots its engine serves a job at once, 0 without an engine;
    `modalities` are what its model takes; the rest counts rejected iterations."""

    width: int
    move_up_after: int
    escalate_after: int
    modalities: frozenset[Modality] = frozenset(Modality)


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
    """Draft, then review and revise the best lineages; a fresh start when they stop getting better, and the cloud,
    where it is allowed, when that does not help."""

    name: ClassVar[str] = "correct"

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """Draft → Revise (at most `REVISIONS_PER_LINEAGE` times a lineage) → Draft(restart) → … → Escalate → Stop"""
        if not history:
            return spent(history, limits) or Draft(slots=limits.width)
        over = accept(history) or given_up(history) or spent(history, limits)
        return over or escalate(history, limits) or self._next(history, limits)

    def _next(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        live = lineages(history)
        going = [lineage for lineage in live if stuck(lineage) is None]
        if going:
            heads = sorted((head(lineage) for lineage in going), key=lambda head: (head.score, head.ref), reverse=True)
            return Revise(parents=tuple(sorted(head.ref for head in heads[: limits.width])))
        reasons = sorted({stuck(lineage) or "" for lineage in live}) or ["every draft was degenerate"]
        return Draft(slots=limits.width, restart=True, why="; ".join(reasons))


def head(lineage: Sequence[Candidate]) -> Candidate:
    """Where a lineage is revised on: its best candidate, the newest of equals; never a degenerate one."""
    return max((c for c in lineage if c.guard is None), key=lambda candidate: (candidate.score, candidate.ref))


def accept(history: Sequence[Iteration]) -> Stop | None:
    """The end of a job that has an accepted candidate: all checks passed, the held-out ones included."""
    for iteration in history:
        for candidate in iteration.candidates:
            if candidate.accepted:
                opinion = all(verdict.kind in JUDGES for verdict in candidate.verdicts)
                return Stop(
                    code=StopCode.ACCEPTED,
                    detail=f"{candidate.ref.iteration}.{candidate.ref.slot}",
                    acceptance=Acceptance.JUDGED if opinion else Acceptance.VERIFIED,
                )
    return None


def spent(history: Sequence[Iteration], limits: Limits) -> Stop | None:
    """The honest end of a job whose budget is spent."""
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
    """Wall hours of the job up to when it was read: since a worker first took it, less those in which it stood still.
    All by the database's clock: a worker's may be wrong by minutes, and a budget is of hours."""
    if job.read_at is None:
        return 0.0
    return ((job.read_at - job.started_at).total_seconds() - job.idle_seconds) / 3600


def limits_of(job: Job, rules: LoopRules) -> Limits:
    """What a decision on the job must keep to, as things stood when it was read."""
    return Limits(
        budget=job.spec.budget,
        spend=job.spend,
        hours=hours_used(job),
        width=rules.width or width_of(job, 1),
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
    """How many iterations brought candidates of which none was accepted."""
    return sum(1 for i in history if i.candidates and not any(c.accepted for c in i.candidates))


def escalate(history: Sequence[Iteration], limits: Limits) -> Escalate | None:
    """The cloud's turn: after `escalate_after` rejected iterations, once in a job."""
    asked = any(iteration.operator is Operator.ESCALATE for iteration in history)
    failed = rejected(history)
    if not limits.cloud or asked or failed < limits.escalate_after:
        return None
    return Escalate(why=f"{failed} iterations were rejected")


def given_up(history: Sequence[Iteration]) -> Stop | None:
    """The honest end of a job whose escalated answer was rejected like the local ones."""
    if any(iteration.operator is Operator.ESCALATE and iteration.candidates for iteration in history):
        return Stop(code=StopCode.CLOUD_REJECTED)
    return None


def engine_lane(asked: Lane, history: Sequence[Iteration], limits: Limits) -> Lane:
    """Where the job's model calls run: a job of lane fast moves up to the large model after `move_up_after`
    rejected iterations."""
    return Lane.GPU if asked is Lane.FAST and rejected(history) >= limits.move_up_after else asked


def lineages(history: Sequence[Iteration]) -> tuple[tuple[Candidate, ...], ...]:
    """The lineages since the last fresh start, each from its draft to its newest revision, oldest first.

    A draft that came out degenerate begins none; a revision that did is part of its lineage, since it was a try.
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
    """Why a lineage is worth no further revision, or None."""
    tries = len(lineage) - 1
    if tries >= REVISIONS_PER_LINEAGE:
        return f"{tries} revisions failed"
    sound = [candidate for candidate in lineage if candidate.guard is None]
    if any(repeats(sound[-1], earlier) for earlier in sound[:-1]):
        return "a revision changed next to nothing"
    complaints = [complaint(candidate) for candidate in sound]
    if complaints and complaints.count(complaints[-1]) >= SAME_CRITIQUE:
        return f"the same critique {SAME_CRITIQUE} times"
    return None


def repeats(later: Candidate, earlier: Candidate) -> bool:
    """Whether a revision is the same answer again: the same words, or nearly, and then judged the same."""
    if later.text.split() == earlier.text.split():
        return True
    return _judged(later) == _judged(earlier) and similarity(later.text, earlier.text) >= NEARLY_EQUAL


def similarity(one: str, other: str) -> float:
    """The share of phrases of `PHRASE_WORDS` words that two texts have in common, counted as often as they occur
    (Dice's coefficient): 1.0 for equal words. White space and case are nothing."""
    ours, theirs = _phrases(one), _phrases(other)
    return 2 * (ours & theirs).total() / max(1, ours.total() + theirs.total())


def _phrases(text: str) -> Counter[tuple[str, ...]]:
    words = text.lower().split()
    return Counter(tuple(words[at : at + PHRASE_WORDS]) for at in range(max(1, len(words) - PHRASE_WORDS + 1)))


def _judged(candidate: Candidate) -> tuple[float, frozenset[str]]:
    return candidate.score, frozenset(verdict.check for verdict in candidate.verdicts if not verdict.passed)


def complaint(candidate: Candidate) -> tuple[tuple[str, str], ...]:
    """What the visible checks held against a candidate."""
    return tuple((v.check, v.feedback) for v in candidate.verdicts if not v.passed and not v.held_out)
