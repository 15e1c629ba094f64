"""The answer that a job begins with: a text file of the job's folder."""

from __future__ import annotations

from pathlib import Path

from tasks.decoding import decode
from tasks.errors import InvalidInput
from tasks.jobfolder import anchored, locate, read

# As much as is parsed of an answer that is a program.
START_BYTES = 200_000


def read_start(folder: Path, name: str) -> str:
    """The text of the file, in UTF-8 whatever it was written in. Raises `InvalidInput`."""
    root, inside = anchored(folder, name)
    try:
        content = read(root, locate(root, inside), START_BYTES)
    except ValueError as error:
        raise InvalidInput("start", name, str(error)) from None
    if len(content) > START_BYTES:
        raise InvalidInput("start", name, f"a file of at most {START_BYTES:,} bytes")
    try:
        text = decode(content)
    except ValueError as error:
        raise InvalidInput("start", name, f"a text file in UTF-8, or in UTF-16 with its mark ({error})") from None
    if "\0" in text or not text.strip():
        raise InvalidInput("start", name, "a text file that holds an answer and no NUL bytes")
    return text
