"""An unexpected exception as its job's events show it: printable, short, and without secrets. Pure; knows nothing of
jobs."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Collection

from tasks.printable import printable

TRACEBACK_CHARS = 8_000
SUMMARY_CHARS = 300
# What the machine has too little of, for whichever job: no fault of the one that met it.
_EXHAUSTED = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO}


def is_exhaustion(error: Exception) -> bool:
    """Whether the worker's machine has run out of something: memory, disk, descriptors, processes."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _EXHAUSTED)


def summary(error: Exception, secrets: Collection[str] = ()) -> str:
    """The exception's type and message in one line of at most `SUMMARY_CHARS`."""
    line = " ".join(_safe("".join(traceback.format_exception_only(error)), secrets).split())
    return line if len(line) <= SUMMARY_CHARS else line[: SUMMARY_CHARS - 3] + "..."


def full_traceback(error: Exception, secrets: Collection[str] = ()) -> str:
    """The traceback with its causes. Of a longer one than `TRACEBACK_CHARS` the end is kept, where the error is."""
    text = _safe("".join(traceback.format_exception(error)), secrets).rstrip()
    return text if len(text) <= TRACEBACK_CHARS else "...\n" + text[4 - TRACEBACK_CHARS :]


def _safe(text: str, secrets: Collection[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):  # one may be a part of another
        text = text.replace(secret, "***")
    return printable(text)
