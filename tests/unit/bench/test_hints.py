"""Whether hints help, measured on a scripted model whose answers follow from the advice that it is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.errors import EngineFault, InvalidInput
from tasks.llm.scripted import ScriptedModel
from tasks.sampling import Sampling
from tasks.types import ChatRequest
from tests.unit.bench.test_record import Contains, tasks_of
from workers.bench.asked import Kept, KeptChecks, KeptModel
from workers.bench.hints import USELESS, HintArm, HintBench, read_hints
from workers.bench.statistics import summarize
from workers.cli.main import run

NAMES = ("a", "b", "c")


def obedient(request: ChatRequest) -> str:
    """Right where it was advised to say twelve; astray where it was advised to say three; else right by chance."""
    prompt = request.messages[-1].content
    if "Say twelve" in prompt:
        return "12"
    if "Say three" in prompt:
        return "3"
    return "12" if request.seed % 2 else "1"


def written(path: Path, *hints: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps(hint) + "\n" for hint in hints))
    return path


def bench(model: ScriptedModel) -> HintBench:
    return HintBench(model=model, checks=Contains(), sampling=Sampling(answer_tokens=32))  # type: ignore[arg-type]


def silent(done: int, total: int) -> None:
    """Nobody watches."""


def test_the_arms_are_compared_on_the_same_draws(tmp_path: Path) -> None:
    tasks, asked = tasks_of(*NAMES), list[ChatRequest]()

    def seen(request: ChatRequest) -> str:
        asked.append(request)
        return obedient(request)

    given = [{"task": name, "right": "Say twelve.", "wrong": "Say three."} for name in NAMES]
    hints = read_hints(written(tmp_path / "hints.jsonl", *given), tasks)
    runs = bench(ScriptedModel(seen)).run(tasks.tasks, hints, drafts=6, parallel=4, progress=silent)
    none, right, useless, wrong = summarize(runs, ("none",))
    assert [one.strategy for one in (none, right, useless, wrong)] == list(HintArm)
    assert (right.solved.value, wrong.solved.value) == (1.0, 0.0)
    assert 0 < (none.solved.value or 0) < 1
    assert useless.solved == none.solved
    assert useless.differences["none"].value == 0
    assert (right.differences["none"].value or 0) > 0 > (wrong.differences["none"].value or 0)
    assert len(asked) == len(runs) == 6 * 3 * 4
    for name in NAMES:
        assert len({run.seed for run in runs if run.task == name}) == 6
    assert len({request.seed for request in asked}) == 6 * 3
    assert sum("# Advice" in request.messages[-1].content for request in asked) == 6 * 3 * 3


def test_tasks_on_which_the_model_is_stuck_are_chosen_by_drafts_of_their_own(tmp_path: Path) -> None:
    tasks, asked = tasks_of(*NAMES), list[ChatRequest]()

    def seen(request: ChatRequest) -> str:
        asked.append(request)
        return "1" if "Problem: b" in request.messages[-1].content else "12"

    found = bench(ScriptedModel(seen)).stuck(tasks.tasks, drafts=3, parallel=1, progress=silent)
    assert [task.name for task in found] == ["b"]
    choosing = {request.seed for request in asked}
    hints = read_hints(written(tmp_path / "h.jsonl", {"task": "b", "right": "r", "wrong": "w"}), tasks)
    asked.clear()
    bench(ScriptedModel(seen)).run(found, hints, drafts=3, parallel=1, progress=silent)
    assert choosing.isdisjoint(request.seed for request in asked)


def test_it_goes_on_where_an_engine_died(tmp_path: Path) -> None:
    tasks, kept, asked = tasks_of(*NAMES), tmp_path / "kept.jsonl", list[ChatRequest]()
    hints = read_hints(
        written(tmp_path / "h.jsonl", *({"task": n, "right": f"Say twelve, {n}."} for n in NAMES)), tasks
    )

    def mortal(request: ChatRequest) -> str:
        asked.append(request)
        if len(asked) == 9:
            raise EngineFault("it died")
        return obedient(request)

    def once() -> int:
        answers = Kept(kept)
        made = HintBench(
            model=KeptModel(answers, ScriptedModel(mortal), name="m", context_tokens=4096),
            checks=KeptChecks(kept=answers, checks=Contains()),  # type: ignore[arg-type]
            sampling=Sampling(answer_tokens=32),
        )
        return len(made.run(tasks.tasks, hints, drafts=2, parallel=1, progress=silent))

    with pytest.raises(EngineFault):
        once()
    assert once() == 2 * 3 * 4
    assert len(asked) == 2 * 3 * 4 + 1


def test_what_the_file_leaves_out_is_a_truism_and_the_hint_of_another_task(tmp_path: Path) -> None:
    given = [{"task": name, "right": f"Of {name}."} for name in NAMES]
    hints = read_hints(written(tmp_path / "h.jsonl", *given), tasks_of(*NAMES))
    assert hints["a"] == {
        HintArm.NONE: "",
        HintArm.RIGHT: "Of a.",
        HintArm.USELESS: USELESS,
        HintArm.WRONG: "Of b.",
    }
    assert hints["c"][HintArm.WRONG] == "Of a."


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ([], "a file of JSON lines"),
        ([{"task": "z", "right": "r"}], "--hints: 'z' is not allowed; a task of the set numbers"),
        ([{"task": "a", "right": "r"}, {"task": "a", "right": "s"}], "one line for each task"),
        ([{"task": "a", "right": "r"}], "a `wrong` hint"),
        ([{"task": "a", "wrong": "r"}], "Field required"),
    ],
)
def test_a_file_of_hints_that_says_nothing_is_refused(
    tmp_path: Path, given: list[dict[str, str]], refused: str
) -> None:
    with pytest.raises(InvalidInput, match=refused):
        read_hints(written(tmp_path / "h.jsonl", *given), tasks_of(*NAMES))


def test_the_command_refuses_before_it_asks_anybody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "h.jsonl", {"task": "nobody's", "right": "r"})
    command = ["bench", "hints", "carwash", "--hints", str(file), "--endpoint", "http://127.0.0.1:9/v1"]
    assert run(command) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "a task of the set carwash" in said.err
