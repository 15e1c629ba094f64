"""Whether this machine stood still, as a virtual machine does that is moved and a laptop that sleeps. Its workers stood
still with it then: their leases have run out, and none of them is dead."""

from __future__ import annotations

import time
from collections.abc import Callable

# A rest that lasts so much longer than was planned.
LATE_SECONDS = 5.0


class Standstill:
    """Tells by the wall clock, which goes on while a machine sleeps. After a standstill leases are spared for
    `grace_seconds`, in which those who live renew theirs. Not safe for threads."""

    def __init__(self, grace_seconds: float, clock: Callable[[], float] = time.time) -> None:
        self._grace_seconds, self._clock = grace_seconds, clock
        self._due, self._spared_until = float("inf"), float("-inf")

    def rests(self, seconds: float) -> None:
        """A rest of at most so many seconds begins now."""
        self._due = self._clock() + seconds

    def over(self) -> bool:
        """The rest is over: whether leases that have run out count. False after a standstill, for as long as leases
        are spared."""
        now = self._clock()
        if now > self._due + LATE_SECONDS:
            self._spared_until = now + self._grace_seconds
        self._due = float("inf")
        return now >= self._spared_until
