"""What tells an open page that it is stale: a text of the database's own counters. Knows no HTTP."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from workers.ui.access import Session

# Half of the second that a page may be stale; the other half is for the page itself.
LOOK_SECONDS = 0.4
MOST_KEPT = 64
# A worker writes a watched job's text for three times as long after it was asked.
WATCH_SECONDS = 5.0


class Version(NamedTuple):
    """Of a page but for the text that is being written, and of that text."""

    page: str
    text: str


class Versions:
    """The last version of each thing that pages show, shared by the `streams` that tell of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.streams = 0
        self._read: dict[tuple[str, int], tuple[float, Version]] = {}
        self._watched: dict[tuple[str, int], float] = {}

    def of(self, session: Session, job: int) -> Version:
        """A job's, or with 0 the overview's: at most `LOOK_SECONDS` old. A job's worker is asked for the text that its
        calls are writing. Raises `DatabaseUnavailable`."""
        key, now = (session.url, job), self._clock()
        read_at, version = self._read.get(key, (-math.inf, Version("", "")))
        if now - read_at >= LOOK_SECONDS:
            board = session.client.board
            if not job:
                version = Version(board.version(), "")
            else:
                if now - self._watched.get(key, -math.inf) >= WATCH_SECONDS:
                    board.watch_text(job)
                    self._watched[key] = now
                version = Version(board.job_version(job), board.text_version(job))
            if len(self._read) > MOST_KEPT:
                self._read.clear()
                self._watched.clear()
            self._read[key] = (now, version)
        return version
