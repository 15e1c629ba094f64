"""How long to wait before an engine is started again. It must not know what time it is, nor whose engine it is."""

from __future__ import annotations

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
# One that has run this long was started well: the next restart waits no longer than the first.
WELL_AFTER_SECONDS = 120.0


class Backoff:
    """Doubles the pause for each end in a row."""

    def __init__(self, first_seconds: float = FIRST_PAUSE_SECONDS) -> None:
        self._first = self._next = first_seconds

    def pause_after(self, ran_seconds: float) -> float:
        """The pause in seconds after an engine that ended having run for so long."""
        pause = self._first if ran_seconds > WELL_AFTER_SECONDS else self._next
        self._next = min(LONGEST_PAUSE_SECONDS, pause * 2)
        return pause
