"""One unprivileged uid a sandbox that runs as root, kept apart between processes by file locks.

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

FIRST_UID = 61000  # above what distributions give to people and services, below systemd's dynamic users (61184)
SLOTS = 128
POLL_SECONDS = 0.05


@contextmanager
def unprivileged_uid(folder: Path, heartbeat: Heartbeat) -> Iterator[int]:
    """A uid that no other sandbox on this machine uses while the context is open.

    `folder` holds one lock file a slot. Waits where all are taken; raises what `heartbeat.check()` raises.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        for slot in range(SLOTS):
            handle = os.open(folder / f"{FIRST_UID + slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            try:
                yield FIRST_UID + slot
            finally:
                os.close(handle)
            return
        heartbeat.check()
        time.sleep(POLL_SECONDS)
