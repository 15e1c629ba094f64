"""The files that a check names: read whole when the job is handed in. Must not know any validator."""

from __future__ import annotations

from pathlib import Path

from tasks.errors import InvalidInput

FILE_BYTES = 1_000_000


def read_text(field: str, name: str, folder: Path | None) -> str:
    """The text of a file relative to `folder` (the working folder where there is none). Raises `InvalidInput`."""
    path = Path(name) if folder is None else folder / name
    try:
        if not path.is_file():
            raise InvalidInput(field, name, f"a file that exists, and {path} does not")
        if path.stat().st_size >= FILE_BYTES:
            raise InvalidInput(field, name, "a file under 1 MB")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(field, name, f"a text in UTF-8 (byte {error.start} is not)") from None
    except OSError as error:
        raise InvalidInput(field, name, f"a file that can be read ({error.strerror})") from None
    if "\0" in text:
        raise InvalidInput(field, name, "a text without NUL")
    return text
