"""What a part of the stack leaves for `redraft status` in its home, one line a file: in `run/NAME-failure` why it ended
on its own account, until it is well again; in `run/NAME-warning` what is wrong although it works, until it starts
again. Knows neither the parts nor who reads the lines."""

from __future__ import annotations

from pathlib import Path

from tasks.errors import InvalidInput
from workers.home import Home, write_private


def write_failure(home: Home, part: str, why: str) -> None:
    """Leaves the reason. Never raises: a disk that is full may be why the part ends."""
    _write(home, home.run / f"{part}-failure", why)


def read_failure(home: Home, part: str) -> str:
    """The reason; empty where the part is well, or ended as it was told to."""
    return _read(home.run / f"{part}-failure")


def clear_failure(home: Home, part: str) -> None:
    """The part is well."""
    (home.run / f"{part}-failure").unlink(missing_ok=True)


def write_warning(home: Home, part: str, warning: str) -> None:
    """Leaves the warning in place of the last one; an empty one leaves none. Never raises."""
    _write(home, home.run / f"{part}-warning", warning)


def read_warning(home: Home, part: str) -> str:
    """The warning; empty where there is none."""
    return _read(home.run / f"{part}-warning")


def _write(home: Home, path: Path, line: str) -> None:
    try:
        home.make()
        write_private(path, line)
    except (OSError, InvalidInput) as error:
        import structlog  # which takes longer to import than `redraft status` takes to read

        structlog.get_logger().warning(
            "a line for the status could not be left", file=path.name, line=line, error=str(error)
        )


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
