"""Named places at which a crash would hurt most. In ordinary life passing one does nothing.

A test makes one fatal by `armed`; a whole process dies at one by `REDRAFT_CRASH_AT`, as kill -9 would have it.
Knows nothing of what happens at the places.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from enum import StrEnum

from tasks.errors import InvalidInput


class CrashPoint(StrEnum):
    """Where a run can be cut, in the order in which a job passes them."""

    CLAIMED = "claimed"
    BEGUN = "begun"
    RESERVED = "reserved"
    CALL_MADE = "call made"  # the answer is in hand and not committed
    CALL_COMMITTED = "call committed"
    CANDIDATES_COMMITTED = "candidates committed"
    CHECKED = "checked"  # one candidate of several
    DECIDED = "decided"
    RECORDING = "recording"  # inside the transaction that closes an iteration
    RECORDED = "recorded"
    HANDED_OVER = "handed over"
    INTENDED = "intended"  # paid for, and nothing is sent
    POSTED = "posted"  # the cloud's id is in hand and not stored
    IDENTIFIED = "identified"
    ANSWERED = "answered"  # the cloud's answer is in hand and not committed
    SETTLED = "settled"
    DISTILLED = "distilled"  # the lesson is in hand and not kept
    LESSON_KEPT = "lesson kept"
    INDEXING = "indexing"  # a lesson is looked up in the memory, and not written to it
    DELIVERED = "delivered"  # the outbox's effect is there and not marked
    MIGRATING = "migrating"  # inside the transaction of one migration


class _Points:
    """Who is told. One for the process: a crash is the process's, too."""

    def __init__(self) -> None:
        self.told: Callable[[CrashPoint], None] | None = None


_points = _Points()


def passing(point: CrashPoint) -> None:
    """Tells whoever armed the points, if anybody did, that `point` is passed."""
    if _points.told is not None:
        _points.told(point)


@contextlib.contextmanager
def armed(told: Callable[[CrashPoint], None]) -> Iterator[None]:
    """While it is open `told` is called at each point by the thread that passes it; what it raises, is raised there."""
    _points.told = told
    try:
        yield
    finally:
        _points.told = None


def arm_process(at: str) -> None:
    """Kills this process (-9) at the n-th passing of a point, `NAME` or `NAME:n`; nothing where `at` is empty.

    Raises `InvalidInput`.
    """
    if not at:
        return
    name, _, count = at.partition(":")
    if name not in set(CrashPoint) or (count and not count.isdigit()):
        raise InvalidInput("setting crash_at", at, f"NAME or NAME:n with a name among {', '.join(CrashPoint)}")
    left, lock = int(count or 1), threading.Lock()

    def told(point: CrashPoint) -> None:
        nonlocal left
        with lock:
            left -= point == name
            if left == 0 and point == name:
                os.kill(os.getpid(), signal.SIGKILL)

    _points.told = told
