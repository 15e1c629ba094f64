"""The recorded drafts of one task as a strategy meets them: in which order they are drawn, and as which candidates.

What is drawn depends on task and seed alone, so that all strategies are compared on the same draws.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tasks.ports import ChatModel, Checks
from tasks.sampling import Sampling
from tasks.types import (
    Candidate,
    CandidateRef,
    Job,
    Operator,
    Verdict,
    unstored_job,
)
from tasks.validators.registry import accepted, score
from workers.bench.pool import GREEDY, Pool, PooledDraft
from workers.bench.tasks import Mode, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms strategies are compared: `tokens` are the completion tokens of a run, `width` how many candidates
    are drafted at once. With `greedy_first` a run's first draft is the greedy one; else that one is never drawn."""

    mode: Mode
    tokens: int
    width: int
    greedy_first: bool = True


@dataclass(frozen=True, kw_only=True)
class Deck:
    """The drafts of one task of a pool. `model` answers what is no draft, and `checks` decide about it."""

    task: Task
    pool: Pool
    terms: Terms
    model: ChatModel
    checks: Checks
    sampling: Sampling

    @cached_property
    def job(self) -> Job:
        """The job, before its first iteration."""
        return unstored_job(self.task.job(self.terms.mode))

    @cached_property
    def drafts(self) -> Sequence[PooledDraft]:
        """The drafts that have their verdicts, the greedy one first."""
        return [draft for draft in self.pool.of(self.task.name) if draft.checked]

    @cached_property
    def candidates(self) -> Mapping[int, Candidate]:
        """Each draft as a candidate, by its number."""
        return {draft.draft: self._candidate(draft) for draft in self.drafts}

    def order(self, seed: int) -> Iterator[PooledDraft]:
        """The drafts in the order in which they are drawn: none again before each was drawn once."""
        drawn = [draft for draft in self.drafts if draft.draft != GREEDY]
        generator = random.Random(f"{self.task.name}:{seed}")  # noqa: S311  (a resampling, no secret)
        if self.terms.greedy_first:
            yield from (draft for draft in self.drafts if draft.draft == GREEDY)
        while drawn:
            yield from generator.sample(drawn, len(drawn))

    def _candidate(self, draft: PooledDraft) -> Candidate:
        ref, verdicts = CandidateRef(iteration=0, slot=0), () if draft.guard else self._verdicts(draft)
        return Candidate(
            ref=ref,
            operator=Operator.DRAFT,
            text=draft.text,
            root=ref,
            guard=draft.guard,
            let_through=draft.let_through,
            verdicts=verdicts,
            score=score(verdicts, self.job.spec.checks),
            accepted=accepted(verdicts, self.job.spec.checks),
        )

    def _verdicts(self, draft: PooledDraft) -> tuple[Verdict, ...]:
        """As the job's own checks would have said: held-out ones only where every visible one passed."""
        visible = tuple(verdict.verdict(held_out=False) for verdict in draft.visible or ())
        if self.terms.mode is Mode.BLIND or not all(verdict.passed for verdict in visible):
            return visible
        return (*visible, *(verdict.verdict(held_out=True) for verdict in draft.scoring or ()))
