"""`redraft guard scan`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workers.cli.main import run


def test_each_file_is_one_object_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fine, loops = tmp_path / "fine.txt", tmp_path / "loops.txt"
    fine.write_text("All is well.")
    loops.write_text("All is well." + " But is it?" * 30)
    assert run(["guard", "scan", str(fine), str(loops), "--json"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert found == [
        {"file": str(fine), "degenerate": False, "kind": None, "at_char": None, "copies": None},
        {"file": str(loops), "degenerate": True, "kind": "cycle", "at_char": 12, "copies": found[1]["copies"]},
    ]
    assert found[1]["copies"] >= 3


def test_the_net_that_caught_a_text_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.txt").write_text("".join(f"{n}. The reader should follow the method.\n" for n in range(1, 41)))
    assert run(["guard", "scan", str(tmp_path / "list.txt"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["degenerate"], found["kind"], found["at_char"]) == (True, "template", 0)
    assert found["copies"] > 30


def test_a_missing_file_is_bad_input_and_nothing_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fine.txt").write_text("fine")
    assert run(["guard", "scan", str(tmp_path / "fine.txt"), str(tmp_path / "none.txt")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "none.txt" in said.err
