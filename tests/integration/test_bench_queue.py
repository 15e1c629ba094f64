"""The bench of the queue, at a hundredth of its size: every table is printed, and its rules hold there, too."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


@pytest.mark.slow  # test_savings.py and the tests of dispatch stand for it
def test_all_tables_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "ops"))
    importlib.import_module("bench_queue").main(["--scale", "0.01"])
    said = capsys.readouterr().out
    for head in (
        "past iterations",
        "jobs in one submission",
        "connections",
        "engine hours of",
        "0 beside 1",
        "affinity",
    ):
        assert head in said
    assert "not begun" not in said
