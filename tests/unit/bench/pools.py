"""Small pools and scripted strategies for the tests of the bench."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tasks.types import CheckSpec, JobSpec
from workers.bench.pool import GREEDY, Header, Pool, PooledDraft, PooledSampling, PooledVerdict
from workers.bench.tasks import Task, TaskSet

VISIBLE = CheckSpec(name="answer", kind="answer", value="1")
SCORING = CheckSpec(name="answer#2", kind="answer", value="2", held_out=True)
HEADER = Header(
    set="numbers",
    model="scripted",
    engine="scripted 1",
    processor="one core",
    sampling=PooledSampling(temperature=0.8, top_p=1.0, top_k=20, max_tokens=512),
    prompts="",
    date="2026-11-29",
)


def task_of(name: str, problem: str = "Say a number.") -> Task:
    return Task(name=name, spec=JobSpec(title=name, problem=problem, checks=(VISIBLE,)), scoring=(SCORING,))


def tasks_of(*names: str, problem: str = "Say a number.") -> TaskSet:
    return TaskSet(name="numbers", tasks=tuple(task_of(name, problem) for name in names))


def draft_of(task: str, number: int, marks: str, *, tokens: int = 100, text: str = "") -> PooledDraft:
    """A draft that passes the visible check where `marks` hold a v and the scoring one where they hold an s; one with a
    g is degenerate."""
    verdicts = [
        PooledVerdict(check=check.name, kind="answer", passed=mark in marks, score=float(mark in marks))
        for check, mark in ((VISIBLE, "v"), (SCORING, "s"))
    ]
    return PooledDraft(
        task=task,
        draft=number,
        temperature=0.0 if number == GREEDY else 0.8,
        seed=number,
        text=text or f"{task} {number}",
        prompt_tokens=50,
        completion_tokens=tokens,
        seconds=2.0,
        finish_reason="stop",
        guard="cycle" if "g" in marks else None,
        visible=None if "g" in marks else (verdicts[0],),
        scoring=None if "g" in marks else (verdicts[1],),
    )


def pool_of(tasks: Mapping[str, Sequence[str]], *, tokens: int = 100) -> Pool:
    """A pool with the marks of each task's drafts, the greedy one first."""
    drafts = [
        draft_of(task, number, marks, tokens=tokens) for task, all_marks in tasks.items() for number, marks in
        enumerate(all_marks)
    ]  # fmt: skip
    return Pool(header=HEADER, drafts={(draft.task, draft.draft): draft for draft in drafts})
