"""The heartbeats of a held lease and of the calls made under it: where a turn's threads and its renewer meet. Knows
neither the database nor what a turn does."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tasks.errors import Cancelled, LeaseLost, Paused, ShuttingDown
from tasks.texttail import TextTail
from tasks.types import CallKey, Claim

# The lengths of a lease after which a turn that makes progress ends, though nobody said that it is lost: where the
# database is silent, somebody else may hold the job by then. One length would end every turn of a process that stood
# still, before its renewer can ask. Who makes no progress is not renewed, and ends with the lease.
LEASES_SILENT = 2


@dataclass(slots=True)
class LeaseHeartbeat:
    """The `Heartbeat` of one held lease, shared by the turn's threads and the renewer. `silence_seconds`: how long a
    step may be silent unless it announced more, between two tokens or around a commit."""

    claim: Claim
    renewed_at: float  # monotonic, of the last renewal the database confirmed
    lease_seconds: float
    silence_seconds: float
    progress_at: float = field(default_factory=time.monotonic)
    tokens: int = 0
    phase: str = ""
    alive_until: float = 0.0
    lost: bool = False
    cancelled: bool = False
    paused: bool = False
    stop_at: float | None = None
    _calls: dict[CallKey, CallHeartbeat] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def beat(self, tokens: int = 0) -> None:
        """Progress was made."""
        with self._lock:
            self.tokens += tokens
            self.progress_at = time.monotonic()
            # Never shorter than another slot of the same turn has announced.
            self.alive_until = max(self.alive_until, self.progress_at + self.silence_seconds)

    def wrote(self, text: str, thoughts: str, *, anew: bool = False) -> None:
        """Nobody watches what is written outside of a call."""

    def expect_silence(self, seconds: float) -> None:
        """The step may be silent for `seconds` from now."""
        with self._lock:
            self.alive_until = max(self.alive_until, time.monotonic() + seconds)

    def check(self) -> None:
        """Raises `LeaseLost`, `Cancelled`, `Paused` or `ShuttingDown`."""
        now = time.monotonic()
        if self.lost or now > self.renewed_at + self.lease_seconds * (LEASES_SILENT if now <= self.alive_until else 1):
            raise LeaseLost(f"job {self.claim.job}: the lease was not renewed in time")
        if self.cancelled:
            raise Cancelled(f"job {self.claim.job}: cancelled by its owner")
        if self.paused:
            raise Paused(f"job {self.claim.job}: paused by its owner")
        if self.stop_at is not None and now > self.stop_at:
            raise self._shutting_down()

    def checkpoint(self) -> None:
        """As `check`, and raises `ShuttingDown` before the grace is used up."""
        self.check()
        if self.stop_at is not None:
            raise self._shutting_down()

    @contextlib.contextmanager
    def calling(self, key: CallKey) -> Iterator[CallHeartbeat]:
        """The heartbeat of one call, which is in flight until it is committed."""
        call = CallHeartbeat(self)
        with self._lock:
            self._calls[key] = call
        try:
            yield call
        finally:
            with self._lock:
                del self._calls[key]

    def in_flight(self) -> Mapping[CallKey, int]:
        """The tokens that each call in flight has received so far."""
        with self._lock:
            return {key: call.tokens for key, call in self._calls.items()}

    def texts(self) -> Mapping[CallKey, CallHeartbeat]:
        """The calls in flight, with what each has written so far."""
        with self._lock:
            return dict(self._calls)

    def _shutting_down(self) -> ShuttingDown:
        return ShuttingDown(f"worker {self.claim.worker} is shutting down")


@dataclass(slots=True)
class CallHeartbeat:
    """The `Heartbeat` of one model call: counts its tokens, keeps the end of what it writes, and is its lease's in all
    else."""

    lease: LeaseHeartbeat
    tokens: int = 0
    text: TextTail = field(default_factory=TextTail)
    thoughts: TextTail = field(default_factory=TextTail)

    def beat(self, tokens: int = 0) -> None:
        """Progress was made."""
        self.tokens += tokens
        self.lease.beat(tokens)

    def wrote(self, text: str, thoughts: str, *, anew: bool = False) -> None:
        """More of its answer or thoughts."""
        if anew:
            self.text.clear()
        self.text.add(text)
        self.thoughts.add(thoughts)

    def expect_silence(self, seconds: float) -> None:
        """The step may be silent for `seconds` from now."""
        self.lease.expect_silence(seconds)

    def check(self) -> None:
        """As the lease's."""
        self.lease.check()

    def checkpoint(self) -> None:
        """As the lease's."""
        self.lease.checkpoint()

    def calling(self, key: CallKey) -> contextlib.AbstractContextManager[CallHeartbeat]:
        """As the lease's."""
        return self.lease.calling(key)
