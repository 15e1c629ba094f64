"""The files that a job names, attachments and files of checks alike: found in the job's folder and nowhere else.

Whoever wrote a job may be a stranger (JSON lines, a pipe), and what is read goes to models and to the database. So a
file is named relative to the job's folder, is regular, is not hidden, and no symlink on the way leads out. Only a
path that somebody typed on the command line (`Typed`) may lead elsewhere. Must not know what a file is for.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

# What the files of a job's checks may weigh together: they travel with each turn.
CHECK_FILES_BYTES = 4_000_000

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# NONBLOCK: a pipe that takes a file's place between the look and the opening must not hang us.
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Missing(ValueError):
    """There is no such file."""


class Typed(str):
    """A value that somebody typed on the command line: they may name any file that they can read."""

    __slots__ = ()


def anchored(folder: Path | None, value: str) -> tuple[Path, str]:
    """The folder that a file must lie in, and its name there: the job's folder (None: the current one), and for a
    typed path that leads out of it the folder of the file itself."""
    home = (Path.cwd() if folder is None else folder).resolve()
    if not isinstance(value, Typed) or "\0" in value:
        return home, value
    try:
        path = (home / value).resolve()
    except (OSError, RuntimeError):
        return home, value
    return (home, value) if path.is_relative_to(home) else (path.parent, path.name)


def is_inside(name: str) -> bool:
    """Whether a name means, as it is written, something below the folder it starts at."""
    plain = os.path.normpath(name)
    return name.isprintable() and not name.startswith(("/", "~")) and plain.split("/")[0] != ".."


def locate(folder: Path, name: str, *, noun: str = "file", verb: str = "read") -> PurePosixPath:
    """Where in `folder` the file or folder `name` really lies, every symlink followed.

    Raises `ValueError`, whose message says in the words `noun` and `verb` what is allowed; `Missing` is one.
    """
    if not is_inside(name):
        raise ValueError(f"{noun}s lie in the job's folder and are named relative to it")
    plain, home = os.path.normpath(name), folder.resolve()
    try:
        path = (home / plain).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "its links go round"
        raise Missing(f"a {noun} must be there ({reason}: {home / plain})") from None
    if not path.is_relative_to(home):
        raise ValueError(f"{noun}s lie in the job's folder, and this one leads out of it")
    real = PurePosixPath(path.relative_to(home))
    if any(part.startswith(".") for part in (*PurePosixPath(plain).parts, *real.parts)):
        raise ValueError(f"hidden files are never {verb}")
    return real


def read(folder: Path, real: PurePosixPath, limit_bytes: int, *, noun: str = "file") -> bytes:
    """At most `limit_bytes` + 1 bytes of the regular file that `locate` found.

    No symlink is followed on the way, so nothing that was put there since leads out. Raises `ValueError`.
    """
    try:
        with os.fdopen(_opened(folder.resolve(), real, noun), "rb") as file:
            return file.read(limit_bytes + 1)
    except OSError as error:
        raise ValueError(f"a {noun} must be readable ({error.strerror})") from None


def _opened(folder: Path, real: PurePosixPath, noun: str) -> int:
    here = os.open(folder, _FOLDER_FLAGS)
    try:
        for part in real.parts[:-1]:
            inner = os.open(part, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
        # Opening a device can do something already: looked at first, and again once it is open.
        if not stat.S_ISREG(os.stat(real.name, dir_fd=here, follow_symlinks=False).st_mode):
            raise ValueError(_regular(noun))
        handle = os.open(real.name, _FILE_FLAGS, dir_fd=here)
    finally:
        os.close(here)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError(_regular(noun))
    return handle


def _regular(noun: str) -> str:
    return f"a {noun} must be a regular file; a folder, a pipe or a device does not do"
