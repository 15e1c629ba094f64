"""How a step shows that it lives and hears that it must stop; and the twin of a step that holds no lease, for tests,
benches and the doctor. Must not know who listens."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from tasks.types import CallKey


class Heartbeat(Protocol):
    """How a step shows that it lives, and learns that it must stop.

    A lease is renewed only while its step makes progress or is within a silence it announced.
    """

    def beat(self, tokens: int = 0) -> None:
        """Progress was made; `tokens` more were received."""

    def wrote(self, text: str, thoughts: str, *, anew: bool = False) -> None:
        """A model wrote more of an answer, or of its thoughts before it, for whoever watches; with `anew` it takes the
        place of all that came before. Never waits and never raises."""

    def expect_silence(self, seconds: float) -> None:
        """The step may be silent for up to `seconds` from now (a prefill, a sandboxed test)."""

    def check(self) -> None:
        """Raises `LeaseLost`, `Cancelled`, `Paused` or `ShuttingDown` where the step must stop; else returns."""

    def checkpoint(self) -> None:
        """As `check`, between two steps, where stopping loses nothing: there a worker that is shutting down stops at
        once, and does not use up its grace."""

    def calling(self, key: CallKey) -> AbstractContextManager[Heartbeat]:
        """The heartbeat of one model call: what it has received is lost with its worker until the context is left."""


class SilentHeartbeat:
    """Implements `Heartbeat`: nobody listens, and nothing ever has to stop."""

    def beat(self, tokens: int = 0) -> None:
        """Nobody listens."""

    def wrote(self, text: str, thoughts: str, *, anew: bool = False) -> None:
        """Nobody watches."""

    def expect_silence(self, seconds: float) -> None:
        """Nobody listens."""

    def check(self) -> None:
        """Nothing ever has to stop."""

    def checkpoint(self) -> None:
        """As `check`."""
        self.check()

    def calling(self, key: CallKey) -> AbstractContextManager[Heartbeat]:
        """A call's heartbeat is this one."""
        return nullcontext(self)


class StoppableHeartbeat(SilentHeartbeat):
    """Raises `reason` at each look once `stopped` is set."""

    def __init__(self, stopped: threading.Event, reason: Exception) -> None:
        self._stopped, self._reason = stopped, reason

    def check(self) -> None:
        """Raises the reason, or returns."""
        if self._stopped.is_set():
            raise self._reason
