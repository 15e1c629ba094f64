"""Iterations as a Parquet file: every column, one schema whatever the rows hold."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, cast

import pytest
from arro3.io import read_parquet

from tasks.store.summaries import IterationRow, VerdictRow
from workers.cli import history, parquet

VERDICT = VerdictRow(check="python:t.py", passed=False, held_out=True, score=0.5, feedback="a\0 ü😀")
ROW = IterationRow(
    iteration=1,
    operator="draft",
    model="small",
    candidate="x = 1\n",
    score=0.5,
    guard=None,
    verdicts=(VERDICT,),
    prompt_tokens=7,
    cached_tokens=0,
    completion_tokens=3,
    usd=Decimal("0.25"),
    seconds=None,
    worker=None,
    epoch=2,
    decision="draft",
    inputs=("1", "2"),
)
EMPTY = IterationRow(
    iteration=2,
    operator="draft",
    model=None,
    candidate=None,
    score=None,
    guard=None,
    verdicts=(),
    prompt_tokens=0,
    cached_tokens=0,
    completion_tokens=0,
    usd=Decimal(0),
    seconds=None,
    worker=None,
    epoch=None,
    decision="",
)


def written(tmp_path: Path, *rows: IterationRow) -> Any:
    path = tmp_path / "rows.parquet"
    with path.open("wb") as file:
        parquet.write(file, ({"job": 9, **history.document(row)} for row in rows))
    return read_parquet(str(path)).read_all()


def test_each_field_of_an_iteration_is_a_column_and_comes_back(tmp_path: Path) -> None:
    table = written(tmp_path, ROW, EMPTY)
    assert set(table.schema.names) == {"job", *history.document(ROW)}
    row = {name: table[name].to_pylist()[0] for name in table.schema.names}
    assert (row["job"], row["iteration"], row["usd"], row["epoch"], row["improved"]) == (9, 1, 0.25, 2, False)
    assert (row["inputs"], row["seconds"], row["hints"]) == (["1", "2"], None, None)
    [verdict] = row["verdicts"]
    assert (verdict["feedback"], verdict["held_out"], verdict["metrics"]) == ("a\0 ü😀", True, None)
    assert set(verdict) == set(history.document(ROW)["verdicts"][0])


def test_files_have_one_schema_whatever_their_rows_hold(tmp_path: Path) -> None:
    assert written(tmp_path, EMPTY).schema == written(tmp_path, ROW).schema == written(tmp_path).schema


class FullDisk(io.BytesIO):
    def write(self, content: Any) -> int:
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_an_error_and_no_panic(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="No space left"):
        parquet.write(cast(IO[bytes], FullDisk()), [{"job": 1, **history.document(ROW)}])
    assert capfd.readouterr().err == ""
