"""Why a part of the stack ended on its own account: one line in `run/NAME-failure` of its home, which stays until the
part is well again. Knows neither the parts nor who reads the line."""

from __future__ import annotations

from pathlib import Path

import structlog

from workers.home import Home, write_private

log = structlog.get_logger()


def write_failure(home: Home, part: str, why: str) -> None:
    """Leaves the reason. Never raises: a disk that is full may be why the part ends."""
    try:
        home.make()
        write_private(_path(home, part), why)
    except OSError as error:
        log.warning("the reason could not be left", part=part, why=why, error=str(error))


def read_failure(home: Home, part: str) -> str:
    """The reason; empty where the part is well, or ended as it was told to."""
    try:
        return _path(home, part).read_text().strip()
    except OSError:
        return ""


def clear_failure(home: Home, part: str) -> None:
    """The part is well."""
    _path(home, part).unlink(missing_ok=True)


def _path(home: Home, part: str) -> Path:
    return home.run / f"{part}-failure"
