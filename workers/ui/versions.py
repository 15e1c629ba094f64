"""What tells an open page that it is stale: a text of the database's own counters. Knows no HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable

from workers.ui.access import Session

# Half of the second that a page may be stale; the other half is for the page itself.
LOOK_SECONDS = 0.4
MOST_KEPT = 64


class Versions:
    """The last version of each thing that pages show, shared by the `streams` that tell of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.streams = 0
        self._read: dict[tuple[str, int], tuple[float, str]] = {}

    def of(self, session: Session, job: int) -> str:
        """A job's, or with 0 the overview's: at most `LOOK_SECONDS` old. Raises `DatabaseUnavailable`."""
        key, now = (session.url, job), self._clock()
        read_at, version = self._read.get(key, (float("-inf"), ""))
        if now - read_at >= LOOK_SECONDS:
            board = session.client.board
            version = board.job_version(job) if job else board.version()
            if len(self._read) > MOST_KEPT:
                self._read.clear()
            self._read[key] = (now, version)
        return version
