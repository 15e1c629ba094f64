"""Whether a running engine is well: looked at every few seconds, asked its canary now and then.

Must not know whose engine it is, nor what is done with an ill one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from tasks.errors import CanaryFailed, EngineFault

HealthState = Literal["ok", "starting", "down"]

# /health of vLLM says whether the EngineCore has died, not whether it hangs: only an answer shows that.
CANARY_EVERY_SECONDS = 30.0
CANARY_SECONDS = 30.0
# Looks in a row without an answer before it counts as ill.
ILL_AFTER = 3


class EngineHealth:
    """`look` is called by one thread.

    Parameters: `answers` is a cheap look, `ask` asks the canary within so many seconds; both raise `EngineFault`.
    `counted` is how many tokens the engine has read and written, None where it doesn't say.
    """

    def __init__(
        self,
        answers: Callable[[], object],
        ask: Callable[[float], None],
        counted: Callable[[], float | None],
        *,
        canary_every_seconds: float = CANARY_EVERY_SECONDS,
        canary_seconds: float = CANARY_SECONDS,
    ) -> None:
        self._answers, self._ask, self._counted = answers, ask, counted
        self._every, self._seconds = canary_every_seconds, canary_seconds
        self._next_canary = time.monotonic() + canary_every_seconds
        self._misses = 0

    @property
    def given_up(self) -> bool:
        """Whether it missed too often in a row: to be ended and started again."""
        return self._misses >= ILL_AFTER

    def look(self) -> str | None:
        """None where it is well (or busy, and getting on), else what is wrong."""
        try:
            self._answers()
            if time.monotonic() >= self._next_canary:
                self._canary()
        except EngineFault as fault:
            self._misses += 1
            return str(fault)
        self._misses = 0
        return None

    def _canary(self) -> None:
        before = self._counted()
        try:
            self._ask(self._seconds)
        except CanaryFailed:
            raise  # its counters went up by the wrong answer itself
        except EngineFault:
            after = self._counted()
            # It waits behind long prompts: an engine whose counters go up is busy, not ill.
            if before is None or after is None or after <= before:
                raise
        self._next_canary = time.monotonic() + self._every
