"""Folders of the sandbox on the host: readable by its unprivileged uid, built by one at a time, written by their owner.

Must not know what they hold.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import SandboxUnavailable


def prepare(folder: Path) -> None:
    """Creates `folder`, passable by all. For root, raises `SandboxUnavailable` where the sandbox's uid can't reach it,
    or somebody else can write to it."""
    if os.geteuid() == 0:
        _check_reachable(folder)
    make_open(folder)
    if os.geteuid() == 0:
        _check_owned(folder)


def unreachable(folder: Path) -> Path | None:
    """The first folder on the way to `folder` that an unprivileged uid may not pass, or None."""
    for place in (folder, *folder.parents):
        if place.exists() and not place.stat().st_mode & 0o001:
            return place
    return None


def make_open(folder: Path) -> None:
    """Creates `folder` and what is missing above it, passable by all whatever the umask says.

    Each is made beside its place and renamed when it is open: a slot that looks meanwhile must not find it closed.
    """
    for place in reversed([folder, *folder.parents]):
        if place.exists():
            continue
        beside = Path(tempfile.mkdtemp(prefix=".opening-", dir=place.parent))
        beside.chmod(0o755)
        try:
            beside.rename(place)
        except OSError:
            beside.rmdir()
            if not place.is_dir():  # otherwise another made it first, and has put something in
                raise


def open_to_readers(folder: Path) -> None:
    """Readable by all, writable by their owner alone."""
    for place in (folder, *folder.rglob("*")):
        if not place.is_symlink():
            executable = place.is_dir() or place.stat().st_mode & 0o100
            place.chmod(0o755 if executable else 0o644)


def compile_sources(folder: Path) -> None:
    """Byte code beside the sources: the sandbox can't write it, and pytest would start three times slower."""
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash", str(folder)],
        check=False,  # the standard library holds files that are meant not to compile
        capture_output=True,
        env={},
    )


def _check_reachable(folder: Path) -> None:
    blocked = unreachable(folder)
    if blocked:
        raise SandboxUnavailable(
            f"the sandbox runs under an unprivileged uid, which may not pass {blocked}; "
            "give a runtime folder whose parents have mode 0755"
        )


def _check_owned(folder: Path) -> None:
    """Root starts what lies here: nobody else may put anything into it."""
    _check_reachable(folder)
    if folder.stat().st_uid != 0 or folder.stat().st_mode & 0o022:
        raise SandboxUnavailable(f"{folder} must belong to root and be writable by root alone")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits until nobody else, in any process, is inside for `path`."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
