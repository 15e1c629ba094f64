"""A cgroup for each sandbox, where this process may create one. The kernel then limits memory, its own included, and
processes at once, while the watcher notices an excess only at its next check. Version 2 only; without it the watcher
alone enforces the limits.

Must not know what runs in a group.
"""

from __future__ import annotations

import functools
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

CONTROLLERS = frozenset({"memory", "pids"})
# Added to the limits, since the launcher and cached system pages count here, too, and since the watcher should kill
# first: it can name the limit.
MEMORY_HEADROOM_BYTES, TASKS_HEADROOM = 32 * 2**20, 32
_JOIN = 'echo $$ > "$0" && exec "$@"'  # the shell joins before the sandbox starts, so every process is counted
_REMOVE_SECONDS = 2.0
_SYSTEMD = Path("/run/systemd/system")


class NotDelegated(Exception):
    """No cgroup can be created here; the message says why."""


@functools.cache
def _search() -> tuple[Path | None, str]:
    try:
        parent = delegated(*_own_group(), systemd=_SYSTEMD.exists())
        with group(parent, limits(2**30, 100)):
            return parent, ""
    except NotDelegated as error:
        return None, str(error)
    except OSError as error:
        return None, f"no group can be created in {parent}: {error.strerror}"


def find_parent() -> Path | None:
    """The group below which groups can be created, or None."""
    return _search()[0]


def unavailable_reason() -> str:
    """Why no group can be created, for people; empty where one can."""
    return _search()[1]


def delegated(mount: Path, own: str, *, systemd: bool) -> Path:
    """The folder below `mount` in which a process of the group `own` may create groups that limit memory and processes.

    That is the parent of `own` (a unit with `Delegate=yes` and `DelegateSubgroup=`, a user's slice), since a group that
    contains processes can't enable controllers for its children; only the root group can. The root user may write
    everywhere, so where `systemd` manages the groups, it must have delegated this one. Raises `NotDelegated`.
    """
    parent = (mount / own.strip("/")).parent if own.strip("/") else mount
    controllers = _read_words(parent / "cgroup.controllers")
    if not controllers >= CONTROLLERS:
        raise NotDelegated(f"{parent} has no controllers for {' and '.join(sorted(CONTROLLERS - controllers))}")
    if not all(
        os.access(path, os.W_OK) for path in (parent, parent / "cgroup.procs", parent / "cgroup.subtree_control")
    ):
        raise NotDelegated(f"{parent} is not delegated to this user")
    if systemd and os.geteuid() == 0 and not _is_delegated(parent):
        raise NotDelegated(
            f"{parent} is systemd's: run the worker as a unit with Delegate=yes and DelegateSubgroup=worker"
        )
    if not _read_words(parent / "cgroup.subtree_control") >= CONTROLLERS:
        try:
            (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(CONTROLLERS)))
        except OSError as error:
            raise NotDelegated(f"{parent} can't share out its controllers: {error.strerror}") from error
    return parent


def limits(memory_bytes: int, tasks: int) -> dict[str, str]:
    """The contents to write into the files of a group, by file name."""
    return {
        "memory.max": str(memory_bytes + MEMORY_HEADROOM_BYTES),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": str(tasks + TASKS_HEADROOM),
    }


@contextmanager
def group(parent: Path, values: Mapping[str, str]) -> Iterator[Path]:
    """A new group in `parent`; at the end its processes are killed and it is removed."""
    folder = Path(tempfile.mkdtemp(prefix="redraft-sandbox-", dir=parent))
    try:
        for name, value in values.items():
            if name != "memory.swap.max" or (folder / name).exists():  # absent where the kernel accounts no swap
                (folder / name).write_text(value)
        yield folder
    finally:
        _remove(folder)


def joining(folder: Path) -> list[str]:
    """The arguments to put before a command so that it starts in the group."""
    return ["/bin/sh", "-c", _JOIN, str(folder / "cgroup.procs")]


def out_of_memory(folder: Path) -> bool:
    """Whether the kernel killed a process of the group because of its memory."""
    with suppress(OSError):
        lines = (folder / "memory.events").read_text().splitlines()
        return any(line.startswith("oom_kill ") and not line.endswith(" 0") for line in lines)
    return False


def _remove(folder: Path) -> None:
    with suppress(OSError):
        (folder / "cgroup.kill").write_text("1")
    end = time.monotonic() + _REMOVE_SECONDS
    while folder.exists():
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > end:
                return  # a dying process holds it; an empty group costs nothing
            time.sleep(0.005)


def _own_group() -> tuple[Path, str]:
    """The mount point of cgroup version 2, and the group of this process. Raises `NotDelegated`."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError as error:
        raise NotDelegated(f"/proc can't be read: {error.strerror}") from error
    mounted = [Path(fields[4]) for fields in mounts if fields[fields.index("-") + 1] == "cgroup2"]
    own = [line.removeprefix("0::") for line in groups if line.startswith("0::")]
    if not mounted or not own:
        raise NotDelegated("no cgroup file system of version 2 is mounted")
    return mounted[0], own[0]


def _read_words(path: Path) -> frozenset[str]:
    with suppress(OSError):
        return frozenset(path.read_text().split())
    return frozenset()


def _is_delegated(parent: Path) -> bool:
    """Whether systemd has delegated the group."""
    for name in ("trusted.delegate", "user.delegate"):
        with suppress(OSError):
            if os.getxattr(parent, name) == b"1":
                return True
    return False
