"""A cgroup for each sandbox, where this process may make some: the kernel then bounds memory, its own included, and
processes at once, where the watcher sees them one look later. Version 2 only; elsewhere the watcher does it alone.

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
# The watcher's kill names the limit and comes first; the launcher and cached pages of the system count here too.
MEMORY_HEADROOM_BYTES, TASKS_HEADROOM = 32 * 2**20, 32
_JOIN = 'echo $$ > "$0" && exec "$@"'  # nothing of the sandbox has begun yet: no process is missed
_REMOVE_SECONDS = 2.0
_SYSTEMD = Path("/run/systemd/system")


class NotDelegated(Exception):
    """No cgroup can be made here; the message says why."""


@functools.cache
def _search() -> tuple[Path | None, str]:
    try:
        place = delegated(*_here(), systemd=_SYSTEMD.exists())
        with group(place, limits(2**30, 100)):
            return place, ""
    except NotDelegated as error:
        return None, str(error)
    except OSError as error:
        return None, f"no group can be made in {place}: {error.strerror}"


def find_place() -> Path | None:
    """Where groups can be made, or None."""
    return _search()[0]


def why_not() -> str:
    """Why none can be made, for people; empty where they can."""
    return _search()[1]


def delegated(mount: Path, own: str, *, systemd: bool) -> Path:
    """The folder below `mount` in which a process of the group `own` may make groups with memory and processes bounded.

    That is the group above its own (a unit with `Delegate=yes` and `DelegateSubgroup=`, a user's slice), as one that
    holds processes can't share out: but for the root. Root itself may write everywhere, so `systemd` says whether
    somebody else manages what it has not delegated. Raises `NotDelegated`.
    """
    place = (mount / own.strip("/")).parent if own.strip("/") else mount
    offered = _words(place / "cgroup.controllers")
    if not offered >= CONTROLLERS:
        raise NotDelegated(f"{place} has no controllers for {' and '.join(sorted(CONTROLLERS - offered))}")
    if not all(os.access(path, os.W_OK) for path in (place, place / "cgroup.procs", place / "cgroup.subtree_control")):
        raise NotDelegated(f"{place} is not delegated to this user")
    if systemd and os.geteuid() == 0 and not _marked(place):
        raise NotDelegated(
            f"{place} is systemd's: run the worker as a unit with Delegate=yes and DelegateSubgroup=worker"
        )
    if not _words(place / "cgroup.subtree_control") >= CONTROLLERS:
        try:
            (place / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(CONTROLLERS)))
        except OSError as error:
            raise NotDelegated(f"{place} can't share out its controllers: {error.strerror}") from error
    return place


def limits(memory_bytes: int, tasks: int) -> dict[str, str]:
    """The files of a group and what to write into them."""
    return {
        "memory.max": str(memory_bytes + MEMORY_HEADROOM_BYTES),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "pids.max": str(tasks + TASKS_HEADROOM),
    }


@contextmanager
def group(place: Path, values: Mapping[str, str]) -> Iterator[Path]:
    """A new group in `place`; at the end whatever is left in it is killed, and it is gone."""
    folder = Path(tempfile.mkdtemp(prefix="redraft-sandbox-", dir=place))
    try:
        for name, value in values.items():
            if name != "memory.swap.max" or (folder / name).exists():  # absent where the kernel accounts no swap
                (folder / name).write_text(value)
        yield folder
    finally:
        _remove(folder)


def joining(folder: Path) -> list[str]:
    """What to put before a command so that it begins in the group."""
    return ["/bin/sh", "-c", _JOIN, str(folder / "cgroup.procs")]


def out_of_memory(folder: Path) -> bool:
    """Whether the kernel ended a process of the group for its memory."""
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
                return  # a dying process holds it: it is empty, and costs nothing
            time.sleep(0.005)


def _here() -> tuple[Path, str]:
    """Where version 2 is mounted, and this process's group. Raises `NotDelegated`."""
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


def _words(path: Path) -> frozenset[str]:
    with suppress(OSError):
        return frozenset(path.read_text().split())
    return frozenset()


def _marked(place: Path) -> bool:
    """Whether systemd has handed the group over."""
    for name in ("trusted.delegate", "user.delegate"):
        with suppress(OSError):
            if os.getxattr(place, name) == b"1":
                return True
    return False
