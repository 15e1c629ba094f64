"""A cache of token counts by prompt. The drafts of an iteration share one prompt, and a server that tokenizes generates
no tokens meanwhile. Knows nothing of how a prompt is counted.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from tasks.types import Message

CAPACITY = 256


class Counts:
    """The latest counts, by the text of the prompt. Safe to share between threads."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity, self._lock = capacity, threading.Lock()
        self._counts: OrderedDict[bytes, Future[int | None]] = OrderedDict()

    def of(self, messages: Sequence[Message], count: Callable[[], int | None]) -> int | None:
        """The result of `count` for these messages, called once: other threads wait for its result. None and errors
        are not cached."""
        key = _key(messages)
        with self._lock:
            cached = self._counts.get(key)
            if cached is None:
                pending = self._counts[key] = Future()
                if len(self._counts) > self._capacity:
                    self._counts.popitem(last=False)
            else:
                self._counts.move_to_end(key)
        if cached is not None:
            return cached.result()
        counted = None
        try:
            counted = count()
        finally:
            if counted is None:
                with self._lock:
                    self._counts.pop(key, None)
            pending.set_result(counted)
        return counted


def _key(messages: Sequence[Message]) -> bytes:
    digest = hashlib.sha256()
    for message in messages:
        for text in (message.role, message.content):
            data = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(data) + data)
    return digest.digest()
