"""The sandbox's folders on the host: readable by its unprivileged uid, built by one process at a time, writable by
their owner alone.

Must not know what they contain.
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
    """Creates `folder`, which every user can enter. For root, raises `SandboxUnavailable` where the sandbox's uid can't
    reach it, or another user can write to it."""
    if os.geteuid() == 0:
        _check_reachable(folder)
    make_open(folder)
    if os.geteuid() == 0:
        _check_owned(folder)


def unreachable(folder: Path) -> Path | None:
    """The innermost folder of the path of `folder` that an unprivileged uid may not enter, or None."""
    for path in (folder, *folder.parents):
        if path.exists() and not path.stat().st_mode & 0o001:
            return path
    return None


def make_open(folder: Path) -> None:
    """Creates `folder` and its missing parents; every user can enter them, whatever the umask is.

    Each is created under another name and renamed once its mode is set: a concurrent slot must not see a closed folder.
    """
    for path in reversed([folder, *folder.parents]):
        if path.exists():
            continue
        temporary = Path(tempfile.mkdtemp(prefix=".opening-", dir=path.parent))
        temporary.chmod(0o755)
        try:
            temporary.rename(path)
        except OSError:
            temporary.rmdir()
            if not path.is_dir():  # otherwise another process created it first
                raise


def open_to_readers(folder: Path) -> None:
    """Makes `folder` and its contents readable by all and writable by their owner alone."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)


def compile_sources(folder: Path) -> None:
    """Writes byte code beside the sources: the sandbox can't, and without it pytest starts three times slower."""
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "-j", "2", "--invalidation-mode", "unchecked-hash", str(folder)],
        check=False,  # some files of the standard library are invalid on purpose
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
    """Root starts programs from this folder, so no other user may write into it."""
    _check_reachable(folder)
    if folder.stat().st_uid != 0 or folder.stat().st_mode & 0o022:
        raise SandboxUnavailable(f"{folder} must belong to root and be writable by root alone")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds the lock file `path`; waits until no other thread or process holds it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
