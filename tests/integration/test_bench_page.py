"""The bench of the live page, at a hundredth of its size: every page is there, of a bounded number of statements."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
# More would be a statement for each row.
MOST_STATEMENTS = 24


def test_every_page_reads_a_bounded_number_of_statements(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "ops"))
    bench = importlib.import_module("bench_page")
    bench.main(["--scale", "0.1", "--iterations", "90", "--times", "1"])
    rows = re.findall(r"^(?:\| )?(/\S*) +\|? *(\d+) ", capsys.readouterr().out, re.MULTILINE)
    assert len(rows) == len(bench.PAGES)
    assert all(0 < int(statements) <= MOST_STATEMENTS for _, statements in rows), rows
