"""How much the engine is given at once: as many requests as it batches, and no more tokens than its KV space holds, so
that it never has to throw a sequence out and compute it again. It must not know jobs.

What is asked of it here is counted in blocks, at its worst, a prompt that several requests have in common once. What
others ask of the same engine is read from its metrics. An engine that doesn't say how it stands gets a fixed number of
requests.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tasks.ports import Heartbeat
from tasks.types import Message, RequestSize
from workers.engine.load import EngineLoad

# A load is read when a turn asks to be taken, and serves for this long: /metrics costs the engine some milliseconds.
READ_EVERY_SECONDS = 1.0
# A turn's first requests are in flight by then; until then, or until it leaves, it counts with all that it may ask.
SETTLE_SECONDS = 1.0
# A new turn waits while more of the KV space is in use: what is under way grows.
KV_HIGH = 0.9
# One request waits for every so many slots, so that a slot that is freed is taken at once: between two turns lie a
# commit, a claim and a prompt.
BACKLOG = 2
POLL_SECONDS = 0.25


@dataclass(slots=True)
class _Shared:
    """The blocks of a prompt, held by so many requests in flight."""

    blocks: int
    holders: int = 0


class AdmissionController:
    """Implements `Admission`. `requests`: how many at once; `width`: what one turn asks at once; `read` gives the
    engine's load, None where it doesn't say."""

    def __init__(
        self,
        *,
        requests: int,
        width: int,
        read: Callable[[], EngineLoad | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._requests, self._width, self._read, self._clock = requests, width, read, clock
        self._changed, self._reading = threading.Condition(), threading.Lock()
        self._queue: deque[object] = deque()
        self._fresh: dict[str, float] = {}
        self._in_flight = self._own_blocks = 0
        self._prompts: dict[tuple[Message, ...], _Shared] = {}
        self._load: EngineLoad | None = None
        self._read_at = -math.inf

    def take_turn(self, turn: str, seconds: float) -> bool:
        """Whether one turn more finds room, waited for at most so long; then it counts until it settles or leaves."""
        deadline = self._clock() + seconds
        while True:
            load = self._recent()
            with self._changed:
                if self._has_room(load):
                    self._fresh[turn] = self._clock() + SETTLE_SECONDS
                    return True
                left = deadline - self._clock()
                if left <= 0:
                    return False
                self._changed.wait(min(left, POLL_SECONDS))

    def on_turn_end(self, turn: str) -> None:
        """The turn has ended, or found nothing to do: a short one must not keep the next one out."""
        with self._changed:
            if self._fresh.pop(turn, None) is not None:
                self._changed.notify_all()

    @contextmanager
    def admit(self, space: RequestSize, heartbeat: Heartbeat) -> Iterator[None]:
        """One request of such a size may run inside; first come, first served.

        Raises what `heartbeat.checkpoint()` raises while it waits.
        """
        (own, common), ticket = self._blocks_of(space), object()
        with self._changed:
            self._queue.append(ticket)
            try:
                while self._queue[0] is not ticket or not self._fits(space, own, common):
                    heartbeat.checkpoint()
                    heartbeat.beat()  # it waits for others who get on
                    self._changed.wait(POLL_SECONDS)
                self._in_flight += 1
                self._own_blocks += own
                self._prompts.setdefault(space.messages, _Shared(common)).holders += 1
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._in_flight -= 1
                self._own_blocks -= own
                self._prompts[space.messages].holders -= 1
                if not self._prompts[space.messages].holders:
                    del self._prompts[space.messages]
                self._changed.notify_all()

    def _has_room(self, load: EngineLoad | None) -> bool:
        now = self._clock()
        self._fresh = {turn: settled for turn, settled in self._fresh.items() if settled > now}
        asked = self._in_flight + len(self._queue) + len(self._fresh) * self._width
        if asked >= self._requests + self._requests // BACKLOG:
            return False
        return load is None or (not load.waiting and load.kv_usage < KV_HIGH)

    def _fits(self, space: RequestSize, own: int, common: int) -> bool:
        """One alone always does: no request is larger than the engine's context, which its KV space holds."""
        if not self._in_flight:
            return True
        held = self._load.kv_blocks if self._load else 0
        used = self._own_blocks + sum(prompt.blocks for prompt in self._prompts.values())
        more = own if space.messages in self._prompts else own + common
        return self._in_flight < self._requests and (not held or used + more <= held)

    def _blocks_of(self, space: RequestSize) -> tuple[int, int]:
        """A request's own blocks, and those that it shares with others of the same prompt: whole ones, without the last
        token, which is always computed."""
        load = self._recent()
        if not load or not load.block_tokens:
            return 0, 0
        blocks = math.ceil((space.prompt_tokens + space.completion_tokens) / load.block_tokens)
        common = max(0, space.prompt_tokens - 1) // load.block_tokens if load.prefix_cache else 0
        return blocks - common, common

    def _recent(self) -> EngineLoad | None:
        """The load, read again where the last reading is old; never waits for another thread's reading."""
        if self._clock() - self._read_at >= READ_EVERY_SECONDS and self._reading.acquire(blocking=False):
            try:
                self._load, self._read_at = self._read(), self._clock()
            finally:
                self._reading.release()
        return self._load
