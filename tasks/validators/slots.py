"""One unprivileged uid for each sandbox that root starts; file locks keep processes from using the same one.

Must not know what is run under it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.ports import Heartbeat

FIRST_UID = 61000  # above the uids of people and services, below systemd's dynamic users (61184)
SLOTS = 128
POLL_SECONDS = 0.05


@contextmanager
def unprivileged_uid(folder: Path, heartbeat: Heartbeat) -> Iterator[int]:
    """A uid that no other sandbox on this machine uses while the context is open.

    `folder` contains one lock file a slot. Waits where all are in use; raises what `heartbeat.check()` raises.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        for slot in range(SLOTS):
            fd = os.open(folder / f"{FIRST_UID + slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                continue
            try:
                yield FIRST_UID + slot
            finally:
                os.close(fd)
            return
        heartbeat.check()
        time.sleep(POLL_SECONDS)
