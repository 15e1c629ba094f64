"""Why an engine does not answer, for as long as it does not: kept by the thread that watches it, read by others."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass

# As `workers.engine.diagnostics.explain` begins; whoever reads the reason knows that it is of the engine. After a
# semicolon it gives advice, which is in the log.
_PREFIX = "the engine ended: "
WHY_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """One line that says `why`, since a moment; `restarted_at` is when the engine was started again last, None where it
    was not. Moments are seconds on the monotonic clock."""

    why: str
    since: float
    restarted_at: float | None = None

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return time.monotonic() - self.since

    @property
    def restarted_seconds(self) -> float | None:
        """Since the engine was started again."""
        return None if self.restarted_at is None else time.monotonic() - self.restarted_at


class Outages:
    """The outage of the moment, and how many `restarts` there were. One thread writes; any may read."""

    def __init__(self) -> None:
        self.now: Outage | None = None
        self.restarts = 0

    def fails(self, why: str) -> None:
        """The engine does not answer. The first reason stays as long as the engine only fails to come back."""
        line = why.strip().split("\n", 1)[0].removeprefix(_PREFIX).split("; ", 1)[0].rstrip(":")[:WHY_CHARS]
        self.now = dataclasses.replace(self.now, why=line) if self.now else Outage(why=line, since=time.monotonic())

    def restarted(self) -> None:
        """It was started again."""
        self.restarts += 1
        if self.now is not None:
            self.now = dataclasses.replace(self.now, restarted_at=time.monotonic())

    def ends(self) -> None:
        """It answers."""
        self.now = None
