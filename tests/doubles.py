"""What several tests put in the place of the real thing."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

from tasks.ports import Pulse, SandboxJob, SandboxResult


class Killed(BaseException):
    """Stands for kill -9: nothing of ours catches it."""


class NoSandbox:
    """For checks that need none."""

    def run(self, job: SandboxJob, pulse: Pulse) -> SandboxResult:
        raise AssertionError("the sandbox was asked for")


class Death:
    """Comes at the n-th write, counted from 0 over all the ledgers that share it: before it, or `after` it is done.
    `at` names that write once it has come."""

    def __init__(self, nth: int, *, after: bool) -> None:
        self.at = ""
        self._left, self._after, self._lock = nth, after, threading.Lock()

    def meet(self, name: str, write: Any, *args: Any, **keywords: Any) -> Any:
        """What the write gives back, for one who survives it."""
        with self._lock:
            fatal, self._left = self._left == 0, self._left - 1
        if not fatal:
            return write(*args, **keywords)
        self.at = name
        if self._after:
            write(*args, **keywords)
        raise Killed


class Mortal:
    """A ledger whose writes may be the last; what only reads is safe."""

    def __init__(self, ledger: object, death: Death) -> None:
        self._ledger, self._death = ledger, death

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._ledger, name)
        return method if name in ("load", "find_call", "find") else partial(self._death.meet, name, method)
