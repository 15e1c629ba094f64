"""Reads the files that a job names, attachments and files of checks alike, from the job's folder and nowhere else.

A job may come from a stranger (JSON lines, a pipe), and its files go to models and into the database. So a file is
named relative to the job's folder, is regular and not hidden, and no symlink on its path leads out of the folder. Only
a path typed on the command line (`Typed`) may lead elsewhere. Must not know what a file is for.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

# The largest total size of the files of a job's checks, since each turn loads them.
CHECK_FILES_BYTES = 4_000_000

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# NONBLOCK: a pipe that replaces the file between `stat` and `open` must not block us.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Missing(ValueError):
    """There is no such file."""


class Typed(str):
    """A value typed on the command line: it may name any file that the user can read."""

    __slots__ = ()


def anchored(folder: Path | None, value: str) -> tuple[Path, str]:
    """The folder that must contain a file, and the file's name in it: the job's folder (None: the current one), or for
    a typed path that leads out of it, the folder of the file itself."""
    root = (Path.cwd() if folder is None else folder).resolve()
    if not isinstance(value, Typed) or "\0" in value:
        return root, value
    try:
        path = (root / value).resolve()
    except (OSError, RuntimeError):
        return root, value
    return (root, value) if path.is_relative_to(root) else (path.parent, path.name)


def is_inside(name: str) -> bool:
    """Whether a name, as written, stays below the folder it is relative to."""
    plain = os.path.normpath(name)
    return name.isprintable() and not name.startswith(("/", "~")) and plain.split("/")[0] != ".."


def locate(folder: Path, name: str, *, noun: str = "file", verb: str = "read") -> PurePosixPath:
    """The path in `folder` of the file or folder `name`, every symlink resolved.

    Raises `ValueError`, whose message uses `noun` and `verb` to say what is allowed, and its subclass `Missing`.
    """
    if not is_inside(name):
        raise ValueError(f"{noun}s lie in the job's folder and are named relative to it")
    plain, root = os.path.normpath(name), folder.resolve()
    try:
        path = (root / plain).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its links form a loop"
        raise Missing(f"a {noun} must be there ({reason}: {root / plain})") from None
    if not path.is_relative_to(root):
        raise ValueError(f"{noun}s lie in the job's folder, and this one leads out of it")
    real = PurePosixPath(path.relative_to(root))
    if any(part.startswith(".") for part in (*PurePosixPath(plain).parts, *real.parts)):
        raise ValueError(f"hidden files are never {verb}")
    return real


def read(folder: Path, real: PurePosixPath, limit_bytes: int, *, noun: str = "file") -> bytes:
    """At most `limit_bytes` + 1 bytes of the regular file that `locate` found.

    No symlink is followed, so a link that was created since then leads nowhere. Raises `ValueError`.
    """
    try:
        with os.fdopen(_open(folder.resolve(), real, noun), "rb") as file:
            return file.read(limit_bytes + 1)
    except OSError as error:
        raise ValueError(f"a {noun} must be readable ({error.strerror})") from None


def _open(folder: Path, real: PurePosixPath, noun: str) -> int:
    folder_fd = os.open(folder, _FOLDER_FLAGS)
    try:
        for part in real.parts[:-1]:
            child_fd = os.open(part, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=folder_fd)
            os.close(folder_fd)
            folder_fd = child_fd
        # Opening a device may already have an effect: check the type before, and again once the file is open.
        if not stat.S_ISREG(os.stat(real.name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
            raise ValueError(_regular(noun))
        file_fd = os.open(real.name, _FILE_FLAGS, dir_fd=folder_fd)
    finally:
        os.close(folder_fd)
    if not stat.S_ISREG(os.fstat(file_fd).st_mode):
        os.close(file_fd)
        raise ValueError(_regular(noun))
    return file_fd


def _regular(noun: str) -> str:
    return f"a {noun} must be a regular file; a folder, a pipe or a device does not do"
