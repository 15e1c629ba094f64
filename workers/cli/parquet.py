"""Iterations as a Parquet file, by arro3 (Arrow's own Rust, in a wheel of 9 MB where pyarrow's has 55).

The columns are those of `history --json`, with the same types in every file, so that files can be read together. Must
not know how rows are read.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any, cast

from workers.cli import output

if TYPE_CHECKING:
    from arro3.core import Schema

TEXT = ("operator", "model", "candidate", "guard", "let_through", "behaviour", "hint", "worker", "decision")
WHOLE = ("job", "iteration", "repeated_tokens", "prompt_tokens", "cached_tokens", "completion_tokens", "epoch")
NUMBER = ("score", "value", "usd", "seconds")
# Lists of which most rows have none: as JSON, for a type of their own would bind every reader to ours.
AS_JSON = ("omissions", "hints", "set_aside")
VERDICT_TEXT = ("check", "feedback", "isolation")
VERDICT_NUMBER = ("score", "value")
VERDICT_TRUTH = ("passed", "held_out")


def schema() -> Schema:
    """The columns and their types. `metrics` of a verdict is JSON."""
    from arro3.core import DataType, Field, Schema

    text, number, whole, truth = DataType.utf8(), DataType.float64(), DataType.int64(), DataType.bool()
    verdict = DataType.struct(
        [
            *(Field(name, text) for name in (*VERDICT_TEXT, "metrics")),
            *(Field(name, number) for name in VERDICT_NUMBER),
            *(Field(name, truth) for name in VERDICT_TRUTH),
        ]
    )
    return Schema(
        [
            *(Field(name, whole) for name in WHOLE),
            *(Field(name, text) for name in (*TEXT, "stop_code", "question", *AS_JSON)),
            *(Field(name, number) for name in NUMBER),
            Field("improved", truth),
            Field("inputs", DataType.list(Field("item", text))),
            Field("verdicts", DataType.list(Field("item", verdict))),
        ]
    )


def write(target: IO[bytes], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes the rows, which pass through a temporary file, so that memory holds a part of them. Raises `OSError`."""
    from arro3.io import read_json, write_parquet

    with tempfile.TemporaryFile() as lines:
        for row in rows:
            lines.write(json.dumps(_flat(row), default=output.plain).encode() + b"\n")
        lines.seek(0)
        file = _Written(target)
        write_parquet(read_json(lines, schema()), cast("IO[bytes]", file))
    if file.error is not None:
        raise file.error


class _Written(io.RawIOBase):
    """The file that is written. Its error is kept until the end: what a write raises, arro3 prints as a panic."""

    def __init__(self, target: IO[bytes]) -> None:
        super().__init__()
        self._target = target
        self.error: OSError | None = None

    def writable(self) -> bool:
        """As of a file."""
        return True

    def write(self, content: Any) -> int:
        """Writes what the file takes."""
        if self.error is None:
            try:
                self._target.write(content)
            except OSError as error:
                self.error = error
        return len(content)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    verdicts = [{**verdict, "metrics": _json(verdict["metrics"])} for verdict in row["verdicts"]]
    return {**row, "verdicts": verdicts, **{name: _json(row[name]) for name in AS_JSON}}


def _json(value: Any) -> str | None:
    return json.dumps(value, default=output.plain, ensure_ascii=False) if value else None
