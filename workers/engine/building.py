"""Fills the cache: one builder at a time, each step a child process. Must not know what is built."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tasks.errors import PartFailed

Say = Callable[[str], None]

GIB = 1 << 30
_LAST_LINES = 5


@contextlib.contextmanager
def locked(path: Path, say: Say) -> Iterator[int]:
    """Holds the lock file `path` and yields its descriptor. A second builder reports that it waits, and waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process fills the cache; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def run_step(argv: Sequence[str], *, lock: int, what: str, scratch: Path | None = None) -> None:
    """Runs one step of a build. Raises `PartFailed` with its last lines.

    The child inherits the lock: if its parent is killed, the next builder waits until the child has ended, too, instead
    of building in a folder in which it still writes. `scratch` is its folder for temporary files: the disk whose space
    was asked for, not a small /tmp, and where what arrives can be counted.
    """
    if scratch:
        scratch.mkdir(parents=True, exist_ok=True)
    command = ["env", f"TMPDIR={scratch}", *argv] if scratch else list(argv)
    try:
        process = subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=(lock,))
    except OSError as error:
        raise PartFailed(f"{what}: {error}") from error
    if process.returncode:
        lines = [line for line in (process.stderr.strip() or process.stdout.strip()).splitlines() if line.strip()]
        raise PartFailed("\n".join([f"{what} failed ({process.returncode}):", *lines[-_LAST_LINES:]]))


def require_space(folder: Path, gib: float, what: str) -> None:
    """Raises `PartFailed` where the disk has not `gib` GiB left for `what`."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / GIB
    if free < gib:
        raise PartFailed(f"{what} needs {gib:.1f} GiB of disk, {folder} has {free:.1f} GiB left; set REDRAFT_CACHE")
