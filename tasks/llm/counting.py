"""Counts of prompts that were counted before: the drafts of an iteration have one prompt, and all prompts of a job one
beginning. A server that tokenizes writes no tokens meanwhile. Knows nothing of how a prompt is counted.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from tasks.types import Message

KEPT = 256


class Counts:
    """The latest counts, by the text of the prompt. Safe to share between threads."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept, self._lock = kept, threading.Lock()
        self._counts: OrderedDict[bytes, Future[int | None]] = OrderedDict()

    def of(self, messages: Sequence[Message], count: Callable[[], int | None]) -> int | None:
        """What `count` gave for these messages, asked once: who comes meanwhile waits for its answer. None and errors
        are not kept."""
        key = _key(messages)
        with self._lock:
            found = self._counts.get(key)
            if found is None:
                mine = self._counts[key] = Future()
                if len(self._counts) > self._kept:
                    self._counts.popitem(last=False)
            else:
                self._counts.move_to_end(key)
        if found is not None:
            return found.result()
        counted = None
        try:
            counted = count()
        finally:
            if counted is None:
                with self._lock:
                    self._counts.pop(key, None)
            mine.set_result(counted)
        return counted


def _key(messages: Sequence[Message]) -> bytes:
    digest = hashlib.sha256()
    for message in messages:
        for text in (message.role, message.content):
            data = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(data) + data)
    return digest.digest()
