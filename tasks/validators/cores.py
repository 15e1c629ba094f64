"""Which programs of the sandbox share this machine's cores, and which run alone. File locks hold for every process that
uses the same folder. Must not know what is run."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.errors import SandboxUnavailable
from tasks.ports import Heartbeat

POLL_SECONDS = 0.05
HEARTBEAT_SECONDS = 1.0


@contextmanager
def cores(folder: Path, heartbeat: Heartbeat, *, exclusive: bool = False) -> Iterator[None]:
    """The cores of the machine, for as long as the context is open: beside any others, or `exclusive` of all.

    `folder` contains the two lock files. Whoever wants to be alone holds up those who come after, so that it waits only
    for what runs already. Where the folder above is another user's, whose programs can't be told of, nothing is locked,
    and nothing can run alone: raises `SandboxUnavailable` then, and what `heartbeat.check()` raises.
    """
    if not os.access(folder.parent, os.W_OK):
        if exclusive:
            raise SandboxUnavailable(f"{folder.parent} is another user's, so no program can have the cores to itself")
        yield
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    with _opened(folder / "use.lock") as use:
        with _opened(folder / "gate.lock") as gate:
            _lock(gate, how, heartbeat)
            _lock(use, how, heartbeat)
        yield


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A descriptor of the file; its lock ends with it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)


def _lock(fd: int, how: int, heartbeat: Heartbeat) -> None:
    told = time.monotonic()
    while True:
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() - told >= HEARTBEAT_SECONDS:
                heartbeat.check()
                heartbeat.beat()  # waiting for other programs is progress, since their time is limited
                told = time.monotonic()
            time.sleep(POLL_SECONDS)
        else:
            return
