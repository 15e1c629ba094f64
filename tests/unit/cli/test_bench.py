"""`redraft bench record | loop` on a pool of scripted answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tasks.llm.scripted import ScriptedModel
from tasks.sampling import Sampling
from tasks.types import StopCode
from workers.bench.carwash import carwash
from workers.bench.record import Recorder
from workers.bench.runs import Run
from workers.bench.tasks import Mode
from workers.cli import bench_loop
from workers.cli.main import run


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """Two drafts of each question, of which all say `drive`."""
    recorder = Recorder(
        model=ScriptedModel(lambda request: "One needs the car there.\nANSWER: drive"),
        sampling=Sampling(temperature=0.8),
        engine="scripted 1",
        processor="one core",
    )
    path = tmp_path / "pool.jsonl"
    recorder.record(path, carwash(), drafts=1, parallel=4, progress=lambda done, total, tokens: None)
    return path


def test_a_pool_is_checked_packed_and_replayed(pool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packed, page = tmp_path / "carwash.jsonl.xz", tmp_path / "page.html"
    assert run(["bench", "record", "carwash", "-o", str(pool), "--pack", str(packed)]) == 0
    capsys.readouterr()
    command = ["bench", "loop", "carwash", "single", "best_of_n", "--pool", str(packed), "--seeds", "2"]
    assert run([*command, "--json", "--page", str(page)]) == 0
    found = json.loads(capsys.readouterr().out)
    single, more = found["strategies"]
    right = sum("drive" in str(task.scoring[0].value) for task in carwash().tasks)
    assert single["solved"]["value"] == pytest.approx(right / 32)
    assert 0 < single["solved"]["value"] < single["solved"]["high"] < 1
    assert more["differences"]["single"]["value"] == 0
    assert found["facts"]["mode"] == "blind"
    assert "<svg" in page.read_text()
    assert run([*command, "--mode", "checker", "--limit", "3"]) == 0
    said = capsys.readouterr()
    assert "with a checker" in said.err
    assert [line.split("\t")[0] for line in said.out.splitlines()] == ["strategy", "single", "best_of_n"]


def live_run(task: str, strategy: str, *, right: bool) -> Run:
    return Run(
        task=task,
        strategy=strategy,
        seed=0,
        mode=Mode.BLIND,
        accepted=True,
        right=right,
        any_right=right,
        calls=1,
        degenerate=0,
        iterations=1,
        prompt_tokens=10,
        completion_tokens=40,
        repeated_tokens=0,
        seconds=1.0,
        stop=StopCode.ACCEPTED,
    )


def test_live_jobs_stand_beside_their_replay(
    pool: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the tasks that both have. Live all are right; of the drafts those whose answer is to drive."""
    assert run(["bench", "record", "carwash", "-o", str(pool)]) == 0
    first = carwash().tasks[:6]

    def live(tasks: object, names: list[str], *_: object) -> tuple[dict[str, str], list[Run]]:
        runs = [live_run(task.name, name, right=True) for name in names for task in first]
        return {"mode": "blind", "run": "r, through the queue", "tasks": "6"}, runs

    monkeypatch.setattr(bench_loop, "_live", live)
    capsys.readouterr()
    command = ["bench", "loop", "carwash", "single", "best_of_n", "--pool", str(pool), "--live", "r", "--replays", "1"]
    assert run([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    by_name = {row["strategy"]: row for row in found["strategies"]}
    assert list(by_name) == ["single", "best_of_n", "single replayed", "best_of_n replayed"]
    assert {row["tasks"] for row in by_name.values()} == {6}
    right = sum("drive" in str(task.scoring[0].value) for task in first) / 6
    assert 0 < right < 1
    assert by_name["single replayed"]["solved"]["value"] == pytest.approx(right)
    assert by_name["single"]["twin"]["value"] == pytest.approx(1 - right)
    assert by_name["single replayed"]["twin"] is None
    assert found["facts"]["tasks"] == "6, live and replayed"
    assert found["facts"]["replay: drafts"].startswith("64, recorded")
    assert run(command) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("- best_of_n\t- single\t- its replay")


def test_a_pool_without_verdicts_has_nothing_to_replay(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "loop", "carwash", "single", "--pool", str(pool)]) == 2
    assert "at least one task" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (["loop", "carwash", "single"], "--pool FILE, --live RUN, or both"),
        (["loop", "carwash", "single", "--memory", "--pool", "p.jsonl"], "beside --live alone"),
        (["loop", "carwash", "single", "--replays", "2", "--pool", "p.jsonl"], "beside --live and --pool alone"),
        (["loop", "carwash", "single", "--memory", "--pool", "p.jsonl", "--live", "x"], "beside --live alone"),
        (["loop", "carwash", "ladder:agree=2", "--pool", "p.jsonl", "--live", "x"], "beside --pool only"),
        (["loop", "carwash", "nonsense", "--pool", "p.jsonl"], "STRATEGY: 'nonsense' is not allowed"),
        (["loop", "nowhere", "single", "--pool", "p.jsonl"], "or a folder of job files"),
        (["loop", "carwash", "single", "--pool", "none.jsonl"], "its header"),
        (["record", "carwash", "-o", "pool.xz"], "the name of a plain file"),
        (["record", "carwash", "-o", "none.jsonl"], "its header"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], refused: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert refused in said.err
    assert said.err.count("\n") == 1


def test_a_pool_of_other_prompts_is_refused(pool: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "record", "carwash", "-o", str(pool)]) == 0
    pool.write_text(pool.read_text().replace('"prompts":"', '"prompts":"0', 1))
    capsys.readouterr()
    assert run(["bench", "loop", "carwash", "single", "--pool", str(pool)]) == 2
    assert "with the prompts of this version" in capsys.readouterr().err
