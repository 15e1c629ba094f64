"""Reads the files that a check names, at submit; they are stored with the job. Must not know what they are for."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from tasks.decoding import decode
from tasks.errors import InvalidInput
from tasks.jobfolder import Missing, anchored, locate, read


def read_text(field: str, value: str, folder: Path | None, limit_bytes: int) -> tuple[str, str]:
    """The name and the text of the file `value` of the job's folder, under `limit_bytes` long.

    Raises `InvalidInput` for `field` with `value`, which is what the user wrote.
    """
    name, content = read_content(field, value, folder, limit_bytes)
    return name, text_of(field, value, content)


def read_content(field: str, value: str, folder: Path | None, limit_bytes: int) -> tuple[str, bytes]:
    """Like `read_text`, but returns the bytes of the file."""
    root, name = anchored(folder, value)
    try:
        content = read(root, locate(root, name), limit_bytes)
    except Missing:
        raise InvalidInput(field, value, f"a file that exists, and {root / name} does not") from None
    except ValueError as error:
        raise InvalidInput(field, value, str(error)) from None
    if len(content) >= limit_bytes:
        limit = f"{limit_bytes // 10**6} MB" if limit_bytes >= 10**6 else f"{limit_bytes // 1000} kB"
        raise InvalidInput(field, value, f"a file under {limit}")
    return PurePosixPath(name).name, content


def text_of(field: str, value: str, content: bytes) -> str:
    """The text of a file's content. Raises `InvalidInput`."""
    try:
        text = decode(content)
    except ValueError as error:
        raise InvalidInput(field, value, f"a text in UTF-8, or in UTF-16 with its mark ({error})") from None
    if "\0" in text:
        raise InvalidInput(field, value, "a text without NUL bytes")
    return text
