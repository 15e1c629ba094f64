"""Watches that a worker gets what it lives for. Wake-ups that don't come, while there is work, it replaces by looking
itself; a worker that can't be helped from inside, deaf to its queue or with a turn that never ends, it makes end, so
that whoever supervises it starts another. Knows nothing of how a job is solved, nor of Celery's inside."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable

import redis
import structlog

from tasks.errors import ServiceFault
from tasks.types import Lane
from workers.turn_runner import TurnRunner

log = structlog.get_logger()

LOOK_SECONDS = 1.0
BROKER_SECONDS = 5.0


class Watchdog:
    """Parameters: `lanes` says which can be served now; `broker` is Valkey's URL, looked at over a connection of the
    watchdog's own; `leave` ends the process, with a reason."""

    def __init__(
        self,
        runner: TurnRunner,
        *,
        lanes: Callable[[], frozenset[Lane]],
        broker: str,
        wakeup_silence_seconds: float,
        deaf_seconds: float,
        leave: Callable[[str], None],
    ) -> None:
        self._runner, self._lanes, self._leave = runner, lanes, leave
        self._silence, self._deaf = wakeup_silence_seconds, deaf_seconds
        self._redis = redis.Redis.from_url(broker, socket_timeout=BROKER_SECONDS, socket_connect_timeout=BROKER_SECONDS)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._looked_at = time.monotonic()
        # In looks, not in seconds: whoever was stopped for an hour has looked no more often for it.
        self._overdue_looks = self._ignored_looks = 0
        self._woken_at = runner.woken_at

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends it after the look under way."""
        self._stopping.set()
        self._thread.join(timeout=2 * BROKER_SECONDS)
        self._redis.close()

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            if self._runner.draining:
                continue
            try:
                why = self._incurable()
                if why:
                    self._leave(why)
                elif self._unheard() > self._silence:
                    self._look_for_work()
            except ServiceFault as fault:
                log.warning("the watchdog looks again", fault=str(fault))

    def _unheard(self) -> float:
        """Seconds since a wake-up came, or since this looked for work and found none; 0 where no slot is free."""
        if not self._runner.free_slots:
            self._looked_at = time.monotonic()
        return time.monotonic() - max(self._runner.woken_at, self._looked_at)

    def _look_for_work(self) -> None:
        """Takes one turn where there is work, and looks again at once; else it waits as long as before."""
        for lane in sorted(self._lanes()):
            claim = self._runner.claim(lane, str(uuid.uuid4()))
            if claim is not None:
                log.warning("no wake-up came for work that waits; it is taken without one", lane=lane, job=claim.job)
                threading.Thread(target=self._runner.hold, args=(claim,), name="unwoken", daemon=True).start()
                return
        self._looked_at = time.monotonic()

    def _incurable(self) -> str:
        """Why this process should end; empty where it should not."""
        overdue, woken_at = self._runner.overdue, self._runner.woken_at
        self._overdue_looks = self._overdue_looks + 1 if overdue else 0
        unwoken = woken_at == self._woken_at and self._runner.free_slots > 0
        self._ignored_looks = self._ignored_looks + 1 if unwoken and self._ignored() else 0
        self._woken_at = woken_at
        if self._overdue_looks * LOOK_SECONDS > self._deaf:
            return f"the turn at job {overdue[0]} does not end though its lease is gone"
        if self._ignored_looks * LOOK_SECONDS > self._deaf:
            return f"its consumer takes no wake-up, and some lay in its queue at each of {self._ignored_looks} looks"
        return ""

    def _ignored(self) -> bool:
        """Whether a wake-up lies there that a consumer should have taken; a broker that is away says nothing."""
        try:
            return any(int(self._redis.llen(lane)) for lane in self._lanes())
        except redis.RedisError:
            return False
