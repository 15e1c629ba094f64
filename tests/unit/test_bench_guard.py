"""The guard's bench: its intervals, and that it prints every table on a small part of the corpus."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

OPS = Path(__file__).parents[2] / "ops"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(OPS))
    return importlib.import_module("bench_guard")


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (5, 10, 0.1871, 0.8129), (1, 1000, 0.0000253, 0.00556)],
)
def test_the_interval_is_clopper_and_pearsons(bench: ModuleType, count: int, of: int, low: float, high: float) -> None:
    assert bench.interval(count, of) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_all_tables_are_printed(bench: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    bench.main(["--part", "60"])
    said = capsys.readouterr().out
    for head in (
        "half: report",
        "generated loops",
        "ordinary texts",
        "dearest kinds",
        "CPU",
        "tokens beyond",
        "right answers",
        "saved of a loop",
    ):
        assert head in said
