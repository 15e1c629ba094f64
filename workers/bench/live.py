"""Strategies on real jobs, through the queue: what a replay claims, measured.

Each job has a key of its own, `bench/RUN/TASK/STRATEGY/SEED`: the same run started again finds its jobs, and goes on.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from tasks.client import Client
from tasks.heartbeat import SilentHeartbeat
from tasks.ports import Checks
from tasks.types import Budget, Candidate, Egress, Job, JobSpec, JobState
from workers.bench.runs import Run
from workers.bench.tasks import Mode, Task, TaskSet

CHARS_PER_TOKEN = 4
# Behind the name of a strategy whose jobs recall lessons and leave some.
WITH_MEMORY = "+memory"
# A job of a bench is limited by its completion tokens alone.
_UNLIMITED = Budget(hours=8_760, iterations=10_000, tokens=10**12)

_CALLS = """
SELECT count(*)::int, coalesce(sum(prompt_tokens), 0)::int, coalesce(sum(completion_tokens), 0)::int,
       coalesce(sum(seconds), 0)::float,
       count(*) FILTER (WHERE guard ->> 'kind' IS NOT NULL AND guard -> 'let_through' IS NULL)::int
FROM call_history WHERE job = """


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """One run by its `name`, at `tokens` completion tokens a job. The `checks` of this machine say what is right. With
    `memory` each strategy is run twice: without lessons, and as `NAME+memory` with those of its own jobs so far."""

    client: Client
    checks: Checks
    name: str
    mode: Mode
    tokens: int
    memory: bool = False

    def run(self, tasks: TaskSet, strategies: Sequence[str], *, seeds: int) -> Iterator[Run]:
        """Submits what is not there yet and waits for all of it, the first first. Raises what the client raises, and
        `InvalidInput` where a key names a job of other content."""
        names = [each for name in strategies for each in ((name, name + WITH_MEMORY) if self.memory else (name,))]
        wanted = [(name, seed, task) for name in names for seed in range(seeds) for task in tasks.tasks]
        submitted = self.client.submit([self._spec(task, name, seed) for name, seed, task in wanted])
        for (name, seed, task), job in zip(wanted, submitted, strict=True):
            self.client.wait(job)
            yield self._measured(task, name, seed, self.client.load(job))

    def _spec(self, task: Task, name: str, seed: int) -> JobSpec:
        return dataclasses.replace(
            task.job(self.mode),
            strategy=name.removesuffix(WITH_MEMORY),
            seed=seed,
            key=f"bench/{self.name}/{task.name}/{name}/{seed}",
            budget=dataclasses.replace(_UNLIMITED, completion_tokens=self.tokens),
            tags=("bench", *task.spec.tags[1:]),
            egress=Egress.NEVER,
            memory=name.endswith(WITH_MEMORY),
        )

    def _measured(self, task: Task, name: str, seed: int, job: Job) -> Run:
        candidates = [candidate for iteration in job.history for candidate in iteration.candidates]
        right = {candidate.ref: self._is_right(task, candidate) for candidate in candidates}
        assert job.ended is not None, "it was waited for"
        (calls, prompt, completion, seconds, degenerate), chosen = self._calls(job.id), job.incumbent
        return Run(
            task=task.name,
            strategy=name,
            seed=seed,
            mode=self.mode,
            accepted=job.ended.state is JobState.ACCEPTED,
            right=chosen is not None and right[chosen.ref],
            any_right=any(right.values()),
            calls=calls,
            degenerate=degenerate,
            iterations=len(job.history),
            prompt_tokens=prompt,
            completion_tokens=completion,
            repeated_tokens=sum(len(c.text) // CHARS_PER_TOKEN for c in candidates if c.repeats),
            seconds=round(seconds, 2),
            stop=job.ended.code,
        )

    def _is_right(self, task: Task, candidate: Candidate) -> bool:
        if candidate.guard is not None:
            return False
        return all(verdict.passed for verdict in self.checks.validate(candidate.text, task.scoring, SilentHeartbeat()))

    def _calls(self, job: int) -> tuple[int, int, int, float, int]:
        """How many there were, their prompt and completion tokens and seconds, and how many looped."""
        (row,) = self.client.sql(f"{_CALLS}{job:d}").rows
        return cast("tuple[int, int, int, float, int]", row)
