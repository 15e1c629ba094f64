"""When a job's hours are over, by this machine's monotonic clock, and a heartbeat that says so. Must not know how hours
are counted."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tasks.errors import LimitReached
from tasks.heartbeat import Heartbeat
from tasks.types import CallKey

# Monotonic seconds.
Clock = Callable[[], float]
# The finish reason of a completion that was cut at a deadline.
DEADLINE = "deadline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """The moment `at` on `clock`, when a budget of `hours` is spent."""

    at: float
    hours: float
    clock: Clock = time.monotonic

    @property
    def passed(self) -> bool:
        """Whether the hours are over."""
        return self.clock() >= self.at

    @property
    def left_seconds(self) -> float:
        """What is left of the hours; negative once they are over."""
        return self.at - self.clock()

    def check(self) -> None:
        """Raises `LimitReached` where the hours are over."""
        if self.passed:
            raise LimitReached("hours", self.hours + (self.clock() - self.at) / 3600, self.hours)


NO_DEADLINE = Deadline(at=math.inf, hours=math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedHeartbeat:
    """Implements `Heartbeat`: another's, whose checks also raise `LimitReached` once the deadline has passed."""

    heartbeat: Heartbeat
    deadline: Deadline

    def beat(self, tokens: int = 0) -> None:
        """As the other's."""
        self.heartbeat.beat(tokens)

    def wrote(self, text: str, thoughts: str, *, anew: bool = False) -> None:
        """As the other's."""
        self.heartbeat.wrote(text, thoughts, anew=anew)

    def expect_silence(self, seconds: float) -> None:
        """As the other's."""
        self.heartbeat.expect_silence(seconds)

    def check(self) -> None:
        """As the other's, and raises `LimitReached`."""
        self.heartbeat.check()
        self.deadline.check()

    def checkpoint(self) -> None:
        """As the other's, and raises `LimitReached`."""
        self.heartbeat.checkpoint()
        self.deadline.check()

    @contextlib.contextmanager
    def calling(self, key: CallKey) -> Iterator[Heartbeat]:
        """The other's heartbeat of the call, with the same deadline."""
        with self.heartbeat.calling(key) as call:
            yield TimedHeartbeat(heartbeat=call, deadline=self.deadline)
