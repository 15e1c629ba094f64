"""Files of JSON lines to which a bench adds one row after another, so that it goes on where it was killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from tasks.errors import InvalidInput

Row = TypeVar("Row")


def append(path: Path, row: BaseModel) -> None:
    """Adds one line and has it on disk; one that a kill has torn off is ended first. One thread at a time. Raises
    `InvalidInput` where the file can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            torn = file.read() not in (b"", b"\n")
            file.write((b"\n" if torn else b"") + row.model_dump_json(exclude_none=True).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InvalidInput("file", str(path), f"one that can be written ({error.strerror})") from None


def read(path: Path, rows: TypeAdapter[Row]) -> Iterator[Row]:
    """The rows of the file, none where it is not there; lines that a kill has torn off are left out. Raises
    `InvalidInput`."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("file", str(path), f"one that can be read ({error})") from None
    for number, line in enumerate(lines, start=1):
        try:
            if line:
                yield rows.validate_json(line)
        except ValidationError as error:
            if "json_invalid" in {item["type"] for item in error.errors()}:
                continue
            reason = error.errors()[0]["msg"]
            raise InvalidInput("file", f"{path} line {number}", f"a line of such a file ({reason})") from None
