"""Records a pool: the texts first, so that the engine never waits for a check, then the verdicts on them.

Both passes append to the same file and go on where they were interrupted.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tenacity import Retrying, retry_if_exception_type, sleep_using_event, stop_after_delay, wait_exponential_jitter

from tasks.errors import EngineFault, InvalidInput, ShuttingDown
from tasks.heartbeat import SilentHeartbeat, StoppableHeartbeat
from tasks.ports import ChatModel, Checks
from tasks.prompts import build
from tasks.sampling import Sampling
from tasks.types import ChatRequest, CheckSpec, JobSpec, Prompt, unstored_job
from workers.bench.lines import append
from workers.bench.pool import GREEDY, Checked, Header, PooledDraft, PooledSampling, PooledVerdict, read_pool
from workers.bench.tasks import Task, TaskSet

# Drafts of all tasks are recorded in rounds of so many, so that a pool that is not complete is of use. Those of a task
# follow each other: an engine whose slots keep a prompt of their own reads it once a round.
ROUND = 9
# An engine that died is started again by whoever serves it, within this from when the request was sent.
ENGINE_AWAY_SECONDS = 3600.0

# Called with how many drafts are done, how many there are, and the tokens that were written.
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Records drafts of `model` for the tasks of a set; `processor` and `engine` describe where it runs."""

    model: ChatModel
    sampling: Sampling
    engine: str
    processor: str

    def record(
        self,
        path: Path,
        tasks: TaskSet,
        *,
        drafts: int,
        parallel: int,
        progress: Progress,
        sample: int | None = None,
    ) -> None:
        """The drafts that are missing in the file, of one greedy and `drafts` others for each task, `parallel` at once;
        with `sample` only those of so many tasks.

        Raises `InvalidInput` where the file is of another set, model, sampling or prompt; `EngineFault` where the
        engine stays away.
        """
        known = self._begin(path, tasks)
        rounds = list(_rounds(tasks.tasks if sample is None else tasks.sample(sample), drafts, known))
        done, tokens, stopped, lock = len(known), 0, threading.Event(), threading.Lock()
        total = done + sum(len(numbers) for _, numbers in rounds)

        def record(task: Task, numbers: Sequence[int]) -> None:
            nonlocal done, tokens
            for number in numbers:
                draft = self._draft(task, number, stopped)
                with lock:
                    append(path, draft)
                    done, tokens = done + 1, tokens + draft.completion_tokens
                    progress(done, total, tokens)

        with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="draft") as pool:
            futures = [pool.submit(record, task, numbers) for task, numbers in rounds]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _begin(self, path: Path, tasks: TaskSet) -> frozenset[tuple[str, int]]:
        """What the file has already; a new one gets its header."""
        header = self._header(tasks)
        if not path.exists() or not path.stat().st_size:
            append(path, header)
            return frozenset()
        found = read_pool(path)
        for name in ("set", "model", "sampling", "prompts"):
            if getattr(found.header, name) != getattr(header, name):
                raise InvalidInput("pool", str(path), f"a file of its own for each recording: the {name} of it differ")
        return frozenset(found.drafts)

    def _header(self, tasks: TaskSet) -> Header:
        sampling = self.sampling
        return Header(
            set=tasks.name,
            model=self.model.name,
            engine=self.engine,
            processor=self.processor,
            sampling=PooledSampling(
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                top_k=sampling.top_k,
                max_tokens=sampling.answer_tokens,
            ),
            prompts=prompts_digest(tasks),
            date=datetime.now(UTC).date().isoformat(),
        )

    def _draft(self, task: Task, number: int, stopped: threading.Event) -> PooledDraft:
        request = self._request(task, number)
        retrying = Retrying(
            retry=retry_if_exception_type(EngineFault),
            stop=stop_after_delay(ENGINE_AWAY_SECONDS),
            wait=wait_exponential_jitter(initial=1, max=20),
            sleep=sleep_using_event(stopped),
            reraise=True,
        )
        completion = retrying(
            self.model.complete, request, StoppableHeartbeat(stopped, ShuttingDown("the recording ends"))
        )
        return PooledDraft(
            task=task.name,
            draft=number,
            temperature=request.temperature,
            seed=request.seed,
            text=completion.text,
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            seconds=round(completion.seconds, 2),
            finish_reason=completion.finish_reason,
            guard=completion.guard.kind if completion.guard else None,
            let_through=completion.let_through.kind if completion.let_through else None,
        )

    def _request(self, task: Task, number: int) -> ChatRequest:
        sampling = self.sampling
        prompt = draft_prompt(task.spec)
        return draft_request(prompt, sampling, draft_seed(task.name, number), greedy=number == GREEDY)


def check_drafts(path: Path, tasks: TaskSet, checks: Checks, *, parallel: int, progress: Progress) -> None:
    """Adds the verdicts of visible and scoring checks on every draft of the file that has none. What a check rejected
    because its time was over is checked once more after all others, alone: on a busy machine a right draft may be cut
    off. Raises `InvalidInput`, and what the sandbox raises."""
    by_name = {task.name: task for task in tasks.tasks}
    pool = read_pool(path)
    if pool.header.prompts != prompts_digest(tasks):
        raise InvalidInput("pool", str(path), f"one that was recorded with the prompts of the set {tasks.name} as now")
    wanted = [draft for draft in pool.drafts.values() if not draft.checked]

    def check(draft: PooledDraft) -> Checked:
        task = by_name[draft.task]
        return Checked(
            task=draft.task,
            draft=draft.draft,
            visible=_verdicts(checks, draft.text, task.spec.checks),
            scoring=_verdicts(checks, draft.text, task.scoring),
        )

    with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="check") as executor:
        futures = [executor.submit(check, draft) for draft in wanted]
        late, done = list[PooledDraft](), 0
        try:
            for future in as_completed(futures):
                checked = future.result()
                if _was_cut_off(checked, by_name[checked.task]):
                    late.append(pool.drafts[checked.task, checked.draft])
                    continue
                append(path, checked)
                done += 1
                progress(done, len(wanted), 0)
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            raise
    for number, draft in enumerate(late, start=done + 1):
        append(path, check(draft))
        progress(number, len(wanted), 0)


def draft_prompt(spec: JobSpec) -> Prompt:
    """What a model is shown for the first draft of such a job."""
    return build.draft(unstored_job(spec))


def draft_request(prompt: Prompt, sampling: Sampling, seed: int, *, greedy: bool = False) -> ChatRequest:
    """One call for an answer to a prompt, as the model is sampled or at temperature 0."""
    return ChatRequest(
        messages=prompt.messages,
        asks_code=prompt.asks_code,
        asks_block=prompt.asks_block,
        temperature=0.0 if greedy else sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=sampling.answer_tokens,
        seed=seed,
    )


def draft_seed(task: str, number: int) -> int:
    """The seed, in [0, 2^31), with which a draft is drawn."""
    return int.from_bytes(hashlib.sha256(f"{task}:{number}".encode()).digest()[:4], "big") >> 1


def prompts_digest(tasks: TaskSet) -> str:
    """SHA-256, shortened, of the names and the prompts of all tasks."""
    prompts = [
        [task.name, *([message.role, message.content] for message in draft_prompt(task.spec).messages)]
        for task in tasks.tasks
    ]
    return hashlib.sha256(json.dumps(prompts).encode()).hexdigest()[:16]


def _rounds(
    tasks: Sequence[Task], drafts: int, known: Container[tuple[str, int]]
) -> Iterable[tuple[Task, Sequence[int]]]:
    """Each task with the numbers of its drafts that are not known, `ROUND` drafts a task at a time."""
    for first in range(0, drafts + 1, ROUND):
        for task in tasks:
            numbers = range(first, min(first + ROUND, drafts + 1))
            yield task, [number for number in numbers if (task.name, number) not in known]


def _verdicts(checks: Checks, text: str, specs: Sequence[CheckSpec]) -> tuple[PooledVerdict, ...]:
    """One check at a time, so that each is run."""
    heartbeat = SilentHeartbeat()
    return tuple(PooledVerdict.of(verdict) for spec in specs for verdict in checks.validate(text, (spec,), heartbeat))


def _was_cut_off(checked: Checked, task: Task) -> bool:
    """Whether a check rejected the draft when its time was over."""
    timeouts = {check.name: check.timeout_seconds for check in (*task.spec.checks, *task.scoring)}
    verdicts = (*checked.visible, *checked.scoring)
    return any(not verdict.passed and verdict.seconds >= timeouts[verdict.check] for verdict in verdicts)
