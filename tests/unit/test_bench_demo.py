"""The demo's bench: what counts as a good demo, and that it goes on where it was interrupted."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

OPS = Path(__file__).parents[2] / "ops"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("bench_demo")


def row(bench: ModuleType, **fields: Any) -> Any:
    good = {"setup": bench._setup([]), "seed": 1, "exit_code": 0, "engine": "e", "accepted": 5, "of": 7}
    measured = {"corrected": 1, "iterations": 20, "tokens": 6000, "start": 9.0, "seconds": 120.0}
    return bench.Row(**(good | measured | fields))


def test_a_good_demo_has_five_accepted_and_one_of_them_corrected(bench: ModuleType) -> None:
    assert row(bench).good
    assert not row(bench, accepted=4).good
    assert not row(bench, corrected=0).good
    assert not row(bench, exit_code=3).good
    assert row(bench).rate == 50.0


def test_seeds_that_were_measured_are_not_run_again(
    bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    kept = [row(bench), row(bench, seed=2, accepted=3), row(bench, seed=2, setup="another", accepted=7)]
    torn = '{"setup": "abc", "seed": 2'
    rows.write_text("".join(json.dumps(dataclasses.asdict(one)) + "\n" for one in kept) + torn)
    bench.main(["--seeds", "2", "--rows", str(rows), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert [one["accepted"] for one in said["rows"]] == [5, 3]
    assert said["share"] == 0.5
    assert said["interval"] == [pytest.approx(0.0126, abs=1e-3), pytest.approx(0.9874, abs=1e-3)]
    bench.main(["--seeds", "2", "--rows", str(rows)])
    table = capsys.readouterr().out
    assert bench.processor() in table
    assert "1 of 2 exit with 0, 5 or more accepted and one corrected: 50% (95 % interval 1% to 99%)" in table


def test_a_row_after_a_torn_one_stands_on_a_line_of_its_own(bench: ModuleType, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"setup": "abc", "se')
    for seed in (1, 2):
        bench._append(rows, row(bench, seed=seed))
    assert [one.seed for one in bench._read(rows)] == [1, 2]


def test_another_set_of_flags_is_another_measurement(bench: ModuleType) -> None:
    assert bench._setup([]) != bench._setup(["--model=qwen"])
