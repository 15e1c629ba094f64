"""Recording a pool, with a scripted model and scripted checks: order, resumption, verdicts, packing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from tasks.errors import EngineFault, InvalidInput
from tasks.llm.scripted import ScriptedModel
from tasks.ports import Heartbeat
from tasks.sampling import Sampling
from tasks.types import ChatRequest, CheckSpec, Completion, JobSpec, Verdict
from workers.bench.lines import append
from workers.bench.pool import PooledDraft, pack, read_pool
from workers.bench.record import ROUND, Recorder, check_drafts
from workers.bench.tasks import Task, TaskSet

VISIBLE = CheckSpec(name="answer", kind="answer", value="1")
SCORING = CheckSpec(name="answer#2", kind="answer", value="2", held_out=True)


class Contains:
    """Passes an answer that holds the check's value; `tried` counts."""

    def __init__(self) -> None:
        self.tried = 0

    def validate(self, candidate: str, checks: Sequence[CheckSpec], heartbeat: Heartbeat) -> tuple[Verdict, ...]:
        self.tried += 1
        return tuple(
            Verdict(check=c.name, kind=c.kind, passed=c.value in candidate, score=float(c.value in candidate))
            for c in checks
        )


def tasks_of(*names: str, problem: str = "Say a number.") -> TaskSet:
    tasks = [
        Task(name=name, spec=JobSpec(title=name, problem=problem, checks=(VISIBLE,)), scoring=(SCORING,))
        for name in names
    ]
    return TaskSet(name="numbers", tasks=tuple(tasks))


def recorder(model: ScriptedModel) -> Recorder:
    return Recorder(model=model, sampling=Sampling(temperature=0.8), engine="scripted 1", processor="one core")


def model_of(*asked: list[ChatRequest], answer: str = "ANSWER: 12", **kwargs: object) -> ScriptedModel:
    def reply(request: ChatRequest) -> str:
        for seen in asked:
            seen.append(request)
        return answer

    return ScriptedModel(reply, **kwargs)  # type: ignore[arg-type]


def silent(done: int, total: int, tokens: int) -> None:
    """Nobody watches."""


def record(path: Path, model: ScriptedModel, tasks: TaskSet, drafts: int = 5, parallel: int = 1) -> None:
    recorder(model).record(path, tasks, drafts=drafts, parallel=parallel, progress=silent)


def test_one_draft_is_greedy_and_the_others_differ_in_their_seeds(tmp_path: Path) -> None:
    path, asked = tmp_path / "pool.jsonl", list[ChatRequest]()
    record(path, model_of(asked), tasks_of("a", "b"))
    drafts = read_pool(path).of("a")
    assert [draft.draft for draft in drafts] == [0, 1, 2, 3, 4, 5]
    assert [draft.temperature for draft in drafts] == [0.0, *[0.8] * 5]
    assert len({request.seed for request in asked}) == len(asked) == 12


def test_a_round_of_every_task_comes_before_the_rest_of_any(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    record(path, model_of(), tasks_of("a", "b"), drafts=ROUND)
    order = [(draft.task, draft.draft) for draft in read_pool(path).drafts.values()]
    rounds = [*(("a", n) for n in range(ROUND)), *(("b", n) for n in range(ROUND))]
    assert order == [*rounds, ("a", ROUND), ("b", ROUND)]


def test_the_drafts_of_a_round_follow_each_other(tmp_path: Path) -> None:
    path, writing, most = tmp_path / "pool.jsonl", dict[str, int](), list[int]()

    class Watched(ScriptedModel):
        def complete(self, request: ChatRequest, heartbeat: Heartbeat) -> Completion:
            task = request.messages[-1].content
            writing[task] = writing.get(task, 0) + 1
            most.append(writing[task])
            try:
                return super().complete(request, heartbeat)
            finally:
                writing[task] -= 1

    tasks = [*tasks_of("a", problem="Say one.").tasks, *tasks_of("b", problem="Say two.").tasks]
    record(path, Watched(lambda _: "ANSWER: 12"), TaskSet(name="numbers", tasks=tuple(tasks)), parallel=4)
    assert len(most) == 12
    assert max(most) == 1


def test_a_recording_that_was_cut_goes_on_and_asks_for_nothing_twice(tmp_path: Path) -> None:
    path, asked = tmp_path / "pool.jsonl", list[ChatRequest]()
    record(path, model_of(), tasks_of("a", "b"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])  # in the middle of a line
    kept = len(read_pool(path).drafts)
    record(path, model_of(asked), tasks_of("a", "b"))
    assert 0 < kept < 12
    assert len(asked) == 12 - kept
    assert len(read_pool(path).drafts) == 12


def test_more_drafts_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    path, asked = tmp_path / "pool.jsonl", list[ChatRequest]()
    record(path, model_of(), tasks_of("a"), drafts=2)
    record(path, model_of(asked), tasks_of("a"), drafts=4, parallel=3)
    assert (len(asked), len(read_pool(path).of("a"))) == (2, 5)


def test_a_sample_is_drawn_alike_each_time_and_grows_to_the_whole_set(tmp_path: Path) -> None:
    path, names = tmp_path / "pool.jsonl", [f"t{number}" for number in range(12)]
    found = []
    for sample in (3, 7, None):
        recorder(model_of()).record(
            path, tasks_of(*names), drafts=1, parallel=1, progress=silent, sample=sample
        )  # fmt: skip
        found.append([task for task, number in read_pool(path).drafts if number == 0])
    assert [len(tasks) for tasks in found] == [3, 7, 12]
    assert found[0] == found[1][:3] != names[:3]
    assert set(found[2]) == set(names)


@pytest.mark.parametrize(("model", "problem"), [("another", "Say a number."), ("scripted", "Say a number, in words.")])
def test_a_file_of_another_recording_is_refused(tmp_path: Path, model: str, problem: str) -> None:
    path = tmp_path / "pool.jsonl"
    record(path, model_of(), tasks_of("a"))
    with pytest.raises(InvalidInput, match="a file of its own"):
        record(path, model_of(name=model), tasks_of("a", problem=problem), drafts=6)


def test_an_engine_that_fails_once_is_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    record(path, model_of(faults=iter([EngineFault("away"), None])), tasks_of("a"), drafts=1)
    assert len(read_pool(path).of("a")) == 2


def test_every_check_is_run_on_every_draft_once(tmp_path: Path) -> None:
    path, checks = tmp_path / "pool.jsonl", Contains()
    record(path, model_of(answer="ANSWER: 2"), tasks_of("a"), drafts=2)
    for _ in range(2):
        check_drafts(path, tasks_of("a"), checks, parallel=2, progress=silent)  # type: ignore[arg-type]
    drafts = read_pool(path).of("a")
    assert checks.tried == 6
    assert [draft.right for draft in drafts] == [True] * 3
    assert [verdict.passed for draft in drafts for verdict in draft.visible or ()] == [False] * 3


def test_a_draft_whose_time_was_over_is_checked_once_more_after_all_others(tmp_path: Path) -> None:
    class Busy(Contains):
        """Cuts the first draft off at its second check, as on a machine with much other work."""

        def validate(self, candidate: str, checks: Sequence[CheckSpec], heartbeat: Heartbeat) -> tuple[Verdict, ...]:
            [verdict] = super().validate(candidate, checks, heartbeat)
            late = dataclasses.replace(verdict, passed=False, score=0.0, seconds=checks[0].timeout_seconds)
            return (late if self.tried == 2 else verdict,)

    path, checks = tmp_path / "pool.jsonl", Busy()
    record(path, model_of(answer="ANSWER: 2"), tasks_of("a", "b"), drafts=1)
    check_drafts(path, tasks_of("a", "b"), checks, parallel=1, progress=silent)  # type: ignore[arg-type]
    assert [draft.right for name in ("a", "b") for draft in read_pool(path).of(name)] == [True] * 4
    assert checks.tried == 2 * 4 + 2, "two checks of each draft, and those of the first again"


def test_a_degenerate_draft_is_not_checked_and_not_right(tmp_path: Path) -> None:
    path, checks = tmp_path / "pool.jsonl", Contains()
    record(path, model_of(answer="ANSWER: 2. " + "And so it goes on and on, again. " * 40), tasks_of("a"), drafts=1)
    check_drafts(path, tasks_of("a"), checks, parallel=1, progress=silent)  # type: ignore[arg-type]
    assert checks.tried == 0
    assert [(draft.checked, draft.right) for draft in read_pool(path).of("a")] == [(True, False)] * 2


def test_a_packed_pool_reads_as_the_plain_one(tmp_path: Path) -> None:
    path, packed = tmp_path / "pool.jsonl", tmp_path / "pool.jsonl.xz"
    record(path, model_of(), tasks_of("b", "a"))
    with pytest.raises(InvalidInput, match="12 drafts of it have no verdicts"):
        pack(path, packed)
    check_drafts(path, tasks_of("b", "a"), Contains(), parallel=1, progress=silent)  # type: ignore[arg-type]
    pack(path, packed)
    assert read_pool(packed) == read_pool(path)


@pytest.mark.parametrize("content", ["", '{"kind": "draft"}\n', "[]\n", '{"kind": "pool", "version": 1}\n'])
def test_what_is_no_pool_is_bad_input(tmp_path: Path, content: str) -> None:
    (tmp_path / "pool.jsonl").write_text(content)
    with pytest.raises(InvalidInput, match=r"pool|such a file"):
        read_pool(tmp_path / "pool.jsonl")


def test_the_line_after_a_torn_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    record(path, model_of(), tasks_of("a"), drafts=1)
    path.write_bytes(path.read_bytes()[:-20])
    draft = PooledDraft(
        task="z", draft=0, temperature=0, seed=0, text="", prompt_tokens=1, completion_tokens=1, seconds=1.0,
        finish_reason="stop",
    )  # fmt: skip
    append(path, draft)
    assert read_pool(path).of("z") == [draft]
