"""Whether an engine that has requests computes anything, by its own counters. Must not know what an engine is."""

from __future__ import annotations

import time
from collections.abc import Callable

from workers.engine.load import EngineLoad

# On a GPU a step takes less than a second, and several of a long prompt's tokens no more than a few.
STALL_SECONDS = 20.0
# On a processor one step of a long prompt may take minutes. An engine that computes it uses 0.6 of a core or more, even
# beside nine others on two; one whose EngineCore stands still 0.07, since its worker polls.
BUSY_SHARE = 0.2
STEP_SECONDS = 600.0


class Progress:
    """Only one thread may call `stall`.

    Parameters: `read` returns the engine's load, None where it doesn't answer; `cpu_seconds` the processor time that
    the engine has used, None where it computes elsewhere.
    """

    def __init__(
        self,
        read: Callable[[], EngineLoad | None],
        cpu_seconds: Callable[[], float] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._cpu_seconds, self._clock = read, cpu_seconds, clock
        self._known: tuple[bool, int, int] | None = None
        self._since, self._cpu_before = clock(), 0.0

    def stall(self) -> str | None:
        """What shows that the engine stands still; None where it moves, has nothing to do, or doesn't report.

        A server whose loop answers /metrics itself (llama.cpp's) is silent while it computes a step, and when it stands
        still.
        """
        load = self._read()
        if load is None and self._known is None:
            return None
        if load is not None and (not load.running + load.waiting or _state(load) != self._known):
            self._moved(load)
            return None
        seconds = self._clock() - self._since
        if seconds < STALL_SECONDS or self._computes(seconds):
            return None
        return f"its requests got no token for {seconds:.0f} s"

    def measure(self) -> Callable[[], bool]:
        """What tells, when it is called, whether the engine has computed on a processor since now, for the requests
        that it had when it was last seen."""
        cpu_seconds = self._cpu_seconds
        if cpu_seconds is None or self._known is None or not self._known[0]:
            return lambda: False
        begun, used = self._clock(), cpu_seconds()
        return lambda: cpu_seconds() - used > BUSY_SHARE * (self._clock() - begun)

    def _moved(self, load: EngineLoad) -> None:
        self._known, self._since = _state(load), self._clock()
        self._cpu_before = self._cpu_seconds() if self._cpu_seconds else 0.0

    def _computes(self, seconds: float) -> bool:
        if self._cpu_seconds is None or seconds > STEP_SECONDS:
            return False
        return self._cpu_seconds() - self._cpu_before > BUSY_SHARE * seconds


def _state(load: EngineLoad) -> tuple[bool, int, int]:
    """What differs whenever it has moved, or has got its first request."""
    return bool(load.running + load.waiting), load.tokens, load.steps
