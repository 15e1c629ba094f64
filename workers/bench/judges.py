"""Measures a model as a judge: each judge prompt's vote on right answers, and on the same with a planted error.

The votes are cast as a job's are (`tasks.judge_panel`), each on a job with a `judge` check alone.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import ShuttingDown
from tasks.heartbeat import StoppableHeartbeat
from tasks.journal import JournalledModel
from tasks.judge_panel import JudgedCheck
from tasks.ports import ChatModel, Checks
from tasks.prompts.judging import JUDGE_PROMPTS
from tasks.sampling import Sampling
from tasks.turn import Turn
from tasks.types import (
    Candidate,
    CandidateRef,
    CheckSpec,
    Claim,
    Job,
    JobSpec,
    Lane,
    Operator,
    unstored_job,
)
from workers.bench import lines
from workers.bench.planted import PlantedPair, planted_pairs
from workers.bench.spending import Spending
from workers.bench.votes import CastVote, Measurement, VoteKey

GOAL = CheckSpec(name="judge", kind="judge", value="")
_CLAIM = Claim(job=0, epoch=0, worker="bench", turn="")
_REF = CandidateRef(iteration=1, slot=0)

# Called with how many are done, and how many there are to be.
Progress = Callable[[int, int], None]


def plant(
    path: Path, found: Measurement, *, pairs: int, kinds: Sequence[str], checks: Checks, progress: Progress
) -> Measurement:
    """Adds pairs of answers of these `kinds` to the file until it has `pairs` of them, or there are no more. Raises
    `InvalidInput`, and `ServiceFault`s of the sandbox."""
    have = list(found.pairs)
    new = planted_pairs(kinds, checks, found.header.seed, {pair.name for pair in have})
    for pair in itertools.islice(new, max(0, pairs - len(have))):
        lines.append(path, pair)
        have.append(pair)
        progress(len(have), pairs)
    return Measurement(header=found.header, pairs=tuple(have), votes=found.votes)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeBench:
    """Casts the votes of `model` and adds them to the file `path`."""

    path: Path
    model: ChatModel
    sampling: Sampling

    def cast(
        self, found: Measurement, *, pairs: int, parallel: int, seconds: float | None, progress: Progress
    ) -> Measurement:
        """The votes that are missing on the first `pairs` pairs, on `parallel` answers at once, for `seconds` at most.
        Those on one answer come one after another, as a job's do: its prompts begin alike, so that the engine's prefix
        cache serves them. Raises `EngineFault`, and `InvalidInput` where the file can't be written."""
        answers = [
            (pair, keys)
            for pair in found.pairs[:pairs]
            for right in (True, False)
            if (keys := [key for key in found.missing(pair) if key[1] is right])
        ]
        total, stopped = len(found.votes) + sum(len(keys) for _, keys in answers), threading.Event()
        votes, adding = dict(found.votes), threading.Lock()

        def judge(pair: PlantedPair, keys: Sequence[VoteKey]) -> None:
            for key in keys:
                vote = self._vote(pair, key, found.header.seed, stopped)
                with adding:
                    lines.append(self.path, vote)
                    votes[key] = vote
                    progress(len(votes), total)

        with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="judge") as pool:
            futures = [pool.submit(judge, pair, keys) for pair, keys in answers]
            try:
                for future in as_completed(futures, timeout=seconds):
                    future.result()
            except TimeoutError:
                pass
            finally:
                stopped.set()
                pool.shutdown(wait=True, cancel_futures=True)
        return Measurement(header=found.header, pairs=found.pairs, votes=votes)

    def _vote(self, pair: PlantedPair, key: VoteKey, seed: int, stopped: threading.Event) -> CastVote:
        _, right, name = key
        number = next(n for n, prompt in enumerate(JUDGE_PROMPTS, start=1) if prompt.name == name)
        heartbeat = StoppableHeartbeat(stopped, ShuttingDown("the measurement ends"))
        calls = Spending(sys.maxsize)
        judged = JudgedCheck(
            model=JournalledModel(ledger=calls, model=self.model, sampling=self.sampling),
            turn=Turn(claim=_CLAIM, job=_job(pair, seed), lanes=frozenset(Lane), heartbeat=heartbeat),
            candidate=_candidate(pair.right if right else pair.wrong),
            check=GOAL,
            number=0,
        )
        vote = judged.vote(JUDGE_PROMPTS[number - 1], number)
        return CastVote(
            pair=pair.name,
            right=right,
            prompt=name,
            passed=vote.passed,
            prompt_tokens=calls.prompt_tokens,
            completion_tokens=calls.completion_tokens,
            seconds=round(vote.seconds, 2),
        )


def _job(pair: PlantedPair, seed: int) -> Job:
    return unstored_job(JobSpec(title=pair.title, problem=pair.problem, checks=(GOAL,), seed=seed, memory=False))


def _candidate(text: str) -> Candidate:
    return Candidate(ref=_REF, operator=Operator.DRAFT, text=text, root=_REF)
