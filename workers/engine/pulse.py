"""Whether a running engine is well: looked at every few seconds, asked its canary now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from tasks.errors import EngineFault
from workers.engine.probe import counted, fetch

Health = Literal["ok", "starting", "down"]

# /health of vLLM says whether the EngineCore has died, not whether it hangs: only an answer shows that.
CANARY_EVERY_SECONDS = 30.0
CANARY_SECONDS = 30.0
# Looks in a row without an answer before it counts as ill.
ILL_AFTER = 3


class EnginePulse:
    """`look` is called by one thread. `ask` asks the canary within so many seconds, and raises `EngineFault`."""

    def __init__(
        self,
        root: str,
        ask: Callable[[float], None],
        *,
        canary_every_seconds: float = CANARY_EVERY_SECONDS,
        canary_seconds: float = CANARY_SECONDS,
    ) -> None:
        self._root, self._ask = root, ask
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
            fetch(f"{self._root}/health")
            if time.monotonic() >= self._next_canary:
                self._canary()
        except EngineFault as fault:
            self._misses += 1
            return str(fault)
        self._misses = 0
        return None

    def _canary(self) -> None:
        before = counted(self._root)
        try:
            self._ask(self._seconds)
        except EngineFault:
            after = counted(self._root)
            # It waits behind long prompts: an engine whose counters go up is busy, not ill.
            if before is None or after is None or after <= before:
                raise
        self._next_canary = time.monotonic() + self._every
