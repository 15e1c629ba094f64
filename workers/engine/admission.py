"""How much work the engine gets at once: as many requests as it batches, and no more tokens than its KV space holds, so
that it never has to preempt a sequence and recompute it. It must not know jobs.

Our own requests are counted in blocks at their largest size, a prompt that several requests share only once. Requests
of others to the same engine show in its metrics. An engine that doesn't report its load gets a fixed number of
requests.
"""

from __future__ import annotations

import dataclasses
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

# The load is read when a turn wants to start, and cached for this long: /metrics costs the engine some milliseconds.
READ_EVERY_SECONDS = 1.0
# After this long a turn's first requests are in flight. Until then, or until it ends, it counts with its full width.
SETTLE_SECONDS = 1.0
# A new turn waits while more than this share of the KV space is in use, since running requests grow.
KV_HIGH = 0.9
# One request waits for every slot, so that a free slot is used at once: between two turns there are a commit, a claim
# and a prompt, and answers of one length end together.
BACKLOG = 1
POLL_SECONDS = 0.25


@dataclass(slots=True)
class _Shared:
    """The blocks of a prompt, and the number of requests in flight that share them."""

    blocks: int
    holders: int = 0


class AdmissionController:
    """Implements `Admission`. `requests` is how many run at once, `width` how many one turn sends at once; `read`
    returns the engine's load, None where it doesn't report it."""

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
        self._unsettled: dict[str, float] = {}
        self._in_flight = self._own_blocks = 0
        self._prompts: dict[tuple[Message, ...], _Shared] = {}
        self._load: EngineLoad | None = None
        self._read_at = -math.inf

    def take_turn(self, turn: str, seconds: float) -> bool:
        """Waits at most `seconds` for room for one more turn; returns whether there is. The turn then counts until it
        settles or ends."""
        deadline = self._clock() + seconds
        while True:
            load = self._recent()
            with self._changed:
                if self._has_room(load):
                    self._unsettled[turn] = self._clock() + SETTLE_SECONDS
                    return True
                remaining = deadline - self._clock()
                if remaining <= 0:
                    return False
                self._changed.wait(min(remaining, POLL_SECONDS))

    def on_turn_end(self, turn: str) -> None:
        """Stops counting a turn that has ended or found nothing to do, so that it doesn't block the next one."""
        with self._changed:
            if self._unsettled.pop(turn, None) is not None:
                self._changed.notify_all()

    @contextmanager
    def admit(self, space: RequestSize, heartbeat: Heartbeat) -> Iterator[None]:
        """Waits until one request of this size may run, first come, first served; it runs within the context.

        Raises what `heartbeat.checkpoint()` raises while it waits.
        """
        (own, common), ticket = self._blocks_of(space), object()
        with self._changed:
            self._queue.append(ticket)
            try:
                while self._queue[0] is not ticket or not self._fits(space, own, common):
                    heartbeat.checkpoint()
                    heartbeat.beat()  # waiting for others that make progress is no hang
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
        self._unsettled = {turn: settled for turn, settled in self._unsettled.items() if settled > now}
        demand = self._in_flight + len(self._queue) + len(self._unsettled) * self._width
        if demand >= self._requests + self._requests // BACKLOG:
            return False
        return load is None or (not load.waiting and load.kv_usage < KV_HIGH)

    def _fits(self, space: RequestSize, own: int, common: int) -> bool:
        """Whether the request fits. A single one always does: its size is at most the context, which the KV space
        holds."""
        if not self._in_flight:
            return True
        held = self._load.kv_blocks if self._load else 0
        used = self._own_blocks + sum(prompt.blocks for prompt in self._prompts.values())
        additional = own if space.messages in self._prompts else own + common
        return self._in_flight < self._requests and (not held or used + additional <= held)

    def _blocks_of(self, space: RequestSize) -> tuple[int, int]:
        """A request's own blocks, and the blocks that it shares with others of the same prompt. Only full blocks are
        shared, and not the last token, which is always computed."""
        load = self._recent()
        if not load or not load.block_tokens:
            return 0, 0
        blocks = math.ceil((space.prompt_tokens + space.completion_tokens) / load.block_tokens)
        shared = max(0, space.prompt_tokens - 1) // load.block_tokens if load.prefix_cache else 0
        return blocks - shared, shared

    def _recent(self) -> EngineLoad | None:
        """The load, read again if the cached one is old; never waits while another thread reads it."""
        if self._clock() - self._read_at >= READ_EVERY_SECONDS and self._reading.acquire(blocking=False):
            try:
                self._load, self._read_at = self._read() or _without_requests(self._load), self._clock()
            finally:
                self._reading.release()
        return self._load


def _without_requests(load: EngineLoad | None) -> EngineLoad | None:
    """What is known of an engine that is too busy to report: its KV space is what it was.

    llama.cpp answers between two steps only, and a request too many for its KV space ends them all.
    """
    return dataclasses.replace(load, running=0, waiting=0, kv_usage=0.0) if load else None
