"""Whether hints help: a set's tasks drafted with no hint, with a right one, a useless one and a wrong one.

A hint stands in the prompt as in a job that was given it. The drafts of all arms have the same seeds, so that arms are
compared on the same draws. What the model and the checks say is kept in a file, so that a bench goes on after any kill.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from tasks.errors import InvalidInput
from tasks.heartbeat import SilentHeartbeat
from tasks.ports import ChatModel, Checks
from tasks.prompts import build
from tasks.sampling import Sampling
from tasks.types import ChatRequest, Hint, HintSource, StopCode, unstored_job
from workers.bench import lines
from workers.bench.record import draft_request, draft_seed
from workers.bench.runs import Run
from workers.bench.tasks import Mode, Task, TaskSet

USELESS = "Read the problem once more, work carefully, and check your answer before you write it down."
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
# Drafts that say which tasks the model is stuck on have numbers of their own: those of an arm are not chosen by luck.
_CHOOSING = 1_000_000

Progress = Callable[[int, int], None]


class HintArm(StrEnum):
    """What a draft's author is advised."""

    NONE = "none"
    RIGHT = "right"
    USELESS = "useless"
    WRONG = "wrong"


class TaskHints(BaseModel):
    """The hints of one task, a line of the file of hints. Without a `wrong` one that arm is shown the right hint of
    the next task in the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    right: str
    useless: str = USELESS
    wrong: str = ""


def read_hints(path: Path, tasks: TaskSet) -> Mapping[str, Mapping[HintArm, str]]:
    """The hints for each task of the set that has some, by arm. Raises `InvalidInput`."""
    found = list(lines.read(path, TypeAdapter(TaskHints)))
    known, names = {task.name for task in tasks.tasks}, [hints.task for hints in found]
    if not found:
        raise InvalidInput("--hints", str(path), 'a file of JSON lines, {"task": …, "right": …} each')
    if unknown := [name for name in names if name not in known]:
        raise InvalidInput("--hints", unknown[0], f"a task of the set {tasks.name}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput("--hints", twice, "one line for each task")
    if len(found) == 1 and not found[0].wrong:
        raise InvalidInput("--hints", names[0], "a `wrong` hint, where there is no other task to take one from")
    others = itertools.islice(itertools.cycle(found), 1, None)
    return {
        hints.task: {
            HintArm.NONE: "",
            HintArm.RIGHT: hints.right,
            HintArm.USELESS: hints.useless,
            HintArm.WRONG: hints.wrong or other.right,
        }
        for hints, other in zip(found, others, strict=False)
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class HintBench:
    """Drafts of `model`; the tasks' own checks and the scoring ones say which are right. Both may be kept
    (`workers.bench.asked`)."""

    model: ChatModel
    checks: Checks
    sampling: Sampling

    def run(
        self, tasks: Sequence[Task], hints: Mapping[str, Mapping[HintArm, str]], *, drafts: int, parallel: int,
        progress: Progress,
    ) -> tuple[Run, ...]:  # fmt: skip
        """So many drafts of each task that has hints, in each arm; a run's strategy is its arm. Raises what the model
        and the checks raise."""
        wanted = [
            (task, arm, number) for number in range(drafts) for task in tasks if task.name in hints for arm in HintArm
        ]
        return self._play([(*one, hints[one[0].name][one[1]]) for one in wanted], parallel, progress)

    def stuck(self, tasks: Sequence[Task], *, drafts: int, parallel: int, progress: Progress) -> tuple[Task, ...]:
        """The tasks of which none of so many drafts without a hint is right; they are no part of any arm."""
        wanted = [(task, HintArm.NONE, _CHOOSING + number, "") for number in range(drafts) for task in tasks]
        solved = {run.task for run in self._play(wanted, parallel, progress) if run.right}
        return tuple(task for task in tasks if task.name not in solved)

    def _play(
        self, wanted: Sequence[tuple[Task, HintArm, int, str]], parallel: int, progress: Progress
    ) -> tuple[Run, ...]:
        runs: list[Run] = []
        with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="draft") as executor:
            futures = [executor.submit(self._draft, *one) for one in wanted]
            try:
                for future in futures:
                    runs.append(future.result())
                    progress(len(runs), len(wanted))
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                raise
        return tuple(runs)

    def _draft(self, task: Task, arm: HintArm, number: int, hint: str) -> Run:
        completion = self.model.complete(self._request(task, number, hint), SilentHeartbeat())
        right = completion.guard is None and self._is_right(task, completion.text)
        return Run(
            task=task.name,
            strategy=arm,
            seed=number,
            mode=Mode.CHECKER,
            accepted=right,
            right=right,
            any_right=right,
            calls=1,
            degenerate=int(completion.guard is not None),
            iterations=1,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            repeated_tokens=0,
            seconds=round(completion.seconds, 2),
            stop=StopCode.ACCEPTED if right else StopCode.DRAFT_REJECTED,
        )

    def _request(self, task: Task, number: int, hint: str) -> ChatRequest:
        job = unstored_job(task.spec)
        if hint:
            given = Hint(source=HintSource.CLOUD, text=hint, by="bench", at=_LONG_AGO)
            job = dataclasses.replace(job, hints=(given,))
        prompt, sampling = build.draft(job), self.sampling
        return draft_request(prompt, sampling, draft_seed(task.name, number))

    def _is_right(self, task: Task, text: str) -> bool:
        checks = (*task.spec.checks, *task.scoring)
        return all(verdict.passed for verdict in self.checks.validate(text, checks, SilentHeartbeat()))
