"""The answer that a job begins with: a text file of the job's folder."""

from __future__ import annotations

from pathlib import Path

from tasks.decoding import decode
from tasks.errors import InvalidInput
from tasks.jobfolder import Typed, locate, read

# As much as is parsed of an answer that is a program.
START_BYTES = 200_000


def read_start(folder: Path, name: str) -> str:
    """The text of the file in `folder`, in UTF-8 whatever it was written in; a `Typed` name is that of any file, from
    the current folder. Raises `InvalidInput`."""
    try:
        root, inside = _typed(name) if isinstance(name, Typed) else (folder, name)
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


def _typed(name: str) -> tuple[Path, str]:
    """The folder and the name in it of a file that somebody typed. Raises `ValueError`."""
    try:
        path = Path.cwd().joinpath(name).resolve()
    except (OSError, RuntimeError):
        raise ValueError("a file must be there, and its links must lead somewhere") from None
    return path.parent, path.name
