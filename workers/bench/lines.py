"""Files of JSON lines that are only ever appended to, so that a bench goes on after any kill."""

from __future__ import annotations

import lzma
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
            file.write((b"\n" if torn else b"") + line_of(row))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InvalidInput("file", str(path), f"one that can be written ({error.strerror})") from None


def line_of(row: BaseModel) -> bytes:
    """A row as it stands in a file."""
    return row.model_dump_json(exclude_none=True).encode() + b"\n"


def read(path: Path, rows: TypeAdapter[Row]) -> Iterator[Row]:
    """The rows of the file, compressed where its name ends in `.xz`; none where it is not there. Lines that a kill has
    torn off are left out. Raises `InvalidInput`."""
    try:
        content = path.read_bytes()
        text = (lzma.decompress(content) if path.suffix == ".xz" else content).decode()
    except FileNotFoundError:
        return
    except (OSError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise InvalidInput("file", str(path), f"one that can be read ({error})") from None
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            if line:
                yield rows.validate_json(line)
        except ValidationError as error:
            if "json_invalid" in {item["type"] for item in error.errors()}:
                continue
            reason = error.errors()[0]["msg"]
            raise InvalidInput("file", f"{path} line {number}", f"a line of such a file ({reason})") from None
