"""The files that a check names: read at submit, and stored with the job. Must not know what they are for."""

from __future__ import annotations

from pathlib import Path

from tasks.errors import InvalidInput


def read_text(field: str, value: object, path: Path, limit_bytes: int) -> str:
    """The text of the file at `path`, under `limit_bytes` long.

    Raises `InvalidInput` for `field`, which shows `value`: what the user wrote.
    """
    try:
        if not path.is_file():
            raise InvalidInput(field, value, f"a file that exists, and {path} does not")
        if path.stat().st_size >= limit_bytes:
            limit = f"{limit_bytes // 10**6} MB" if limit_bytes >= 10**6 else f"{limit_bytes // 1000} kB"
            raise InvalidInput(field, value, f"a file under {limit}")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(field, value, f"a text in UTF-8 (byte {error.start} is not)") from None
    except (OSError, ValueError) as error:  # a NUL or a surrogate in the name is a ValueError
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(field, value, f"a file that can be read ({reason})") from None
    if "\0" in text:
        raise InvalidInput(field, value, "a text without NUL bytes")
    return text
