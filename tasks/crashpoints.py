"""Named points at which a crash would hurt most. In production passing one does nothing.

A test makes one fatal with `armed`; with `REDRAFT_CRASH_AT` a whole process kills itself there, as by kill -9.
Knows nothing of what happens at the points.
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
    TAKING_HINTS = "taking hints"  # inside the transaction that gives the hints that wait to an iteration
    HINTS_TAKEN = "hints taken"
    BEGUN = "begun"
    SETTING_ASIDE = "setting aside"  # inside the transaction that takes an answer to another prompt out of the way
    SET_ASIDE = "set aside"
    RESERVED = "reserved"
    CALL_MADE = "call made"  # the completion has arrived and is not committed
    CALL_COMMITTED = "call committed"
    CANDIDATES_COMMITTED = "candidates committed"
    CHECKED = "checked"  # one candidate of several
    INPUTS_COMMITTED = "inputs committed"
    OBSERVED = "observed"  # one candidate of several was run on them
    DECIDED = "decided"
    RECORDING = "recording"  # inside the transaction that closes an iteration
    RECORDED = "recorded"
    QUESTION_WRITTEN = "question written"  # and the job does not wait for its answer yet
    ASKING = "asking"  # inside the transaction that has it wait
    ASKED = "asked"
    HANDED_OVER = "handed over"
    INTENDED = "intended"  # the dollars are reserved, and nothing is sent
    POSTPONED = "postponed"  # the cloud did not take the request, and the lease is not handed back yet
    POSTED = "posted"  # the cloud's id has arrived and is not stored
    IDENTIFIED = "identified"
    ANSWERED = "answered"  # the cloud's answer has arrived and is not committed
    SETTLED = "settled"
    DISTILLED = "distilled"  # the lesson is written and not stored
    LESSON_KEPT = "lesson kept"
    INDEXING = "indexing"  # its neighbours are looked up, and the lesson is not in the index yet
    DELIVERED = "delivered"  # the outbox's effect has happened and is not marked
    MIGRATING = "migrating"  # inside the transaction of one migration


class _Points:
    """The callback of the armed points. There is one for the process, as a crash ends the whole process."""

    def __init__(self) -> None:
        self.callback: Callable[[CrashPoint], None] | None = None


_points = _Points()


def passing(point: CrashPoint) -> None:
    """Calls the armed callback, if there is one, with `point`."""
    if _points.callback is not None:
        _points.callback(point)


@contextlib.contextmanager
def armed(callback: Callable[[CrashPoint], None]) -> Iterator[None]:
    """Within the context, each thread that passes a point calls `callback`; what it raises propagates there."""
    _points.callback = callback
    try:
        yield
    finally:
        _points.callback = None


def arm_process(at: str) -> None:
    """Kills this process (-9) at the n-th passing of a point, `NAME` or `NAME:n`; nothing where `at` is empty.

    Raises `InvalidInput`.
    """
    if not at:
        return
    name, _, count = at.partition(":")
    if name not in set(CrashPoint) or (count and not count.isdigit()):
        raise InvalidInput("setting crash_at", at, f"NAME or NAME:n with a name among {', '.join(CrashPoint)}")
    remaining, lock = int(count or 1), threading.Lock()

    def count_down(point: CrashPoint) -> None:
        nonlocal remaining
        with lock:
            remaining -= point == name
            if remaining == 0 and point == name:
                os.kill(os.getpid(), signal.SIGKILL)

    _points.callback = count_down
