"""Decides whether a running engine is healthy, by a ping every few seconds, by its counters while it has requests, and
by a canary now and then.

Must not know whose engine it is, nor what is done with an unhealthy one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from tasks.errors import CanaryFailed, EngineFault
from workers.engine.progress import Progress

HealthState = Literal["ok", "starting", "down"]

# vLLM's /health reports whether the EngineCore has died, not whether it hangs: its counters show that while requests
# run, and else only an answer.
CANARY_EVERY_SECONDS = 30.0
CANARY_SECONDS = 30.0
# After this many failed checks in a row an engine is given up.
ILL_AFTER = 3


class EngineHealth:
    """The health of one engine; only one thread may call `look`.

    Parameters: `answers` is a cheap request, `ask` sends the canary with a timeout in seconds; both raise
    `EngineFault`. `counted` returns the engine's count of tokens and steps, None where it doesn't report one;
    `progress` finds out whether it stands still, None where its counters can't tell.
    """

    def __init__(
        self,
        answers: Callable[[], object],
        ask: Callable[[float], None],
        counted: Callable[[], float | None],
        *,
        progress: Progress | None = None,
        canary_every_seconds: float = CANARY_EVERY_SECONDS,
        canary_seconds: float = CANARY_SECONDS,
    ) -> None:
        self._ping, self._send_canary, self._counted = answers, ask, counted
        self._progress = progress
        self._every, self._seconds = canary_every_seconds, canary_seconds
        self._next_canary = time.monotonic() + canary_every_seconds
        self._failures = 0

    @property
    def given_up(self) -> bool:
        """Whether so many checks in a row failed that the engine must be restarted."""
        return self._failures >= ILL_AFTER

    def look(self) -> str | None:
        """What is wrong, or None where the engine is healthy, or busy and making progress."""
        try:
            self._ping()
            if self._progress and (stall := self._progress.stall()):
                self._failures = ILL_AFTER  # it was looked at for long enough
                return stall
            if time.monotonic() >= self._next_canary:
                self._canary()
        except EngineFault as fault:
            self._failures += 1
            return str(fault)
        self._failures = 0
        return None

    def _canary(self) -> None:
        before, has_computed = self._counted(), self._progress.measure() if self._progress else lambda: False
        try:
            self._send_canary(self._seconds)
        except CanaryFailed:
            raise  # the wrong answer itself increased its counters
        except EngineFault:
            after = self._counted()
            # The canary may wait behind long prompts and answers: an engine whose counters increase is busy, not
            # unhealthy, nor is one that doesn't answer while it computes a long step.
            moved = before is not None and after is not None and after > before
            if not moved and not has_computed():
                raise
        self._next_canary = time.monotonic() + self._every
