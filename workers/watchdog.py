"""Watches whether a worker is given work. While there is work and no wake-up comes, it claims a job itself; a worker
that can't be helped from inside, because it no longer hears its queue or a turn never ends, it makes end, so that
whoever supervises it starts another. Knows nothing of how a job is solved, nor of Celery's inside."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable

import structlog

from tasks.errors import BrokerUnavailable, ServiceFault
from tasks.taskrecords import NO_RECORD, TaskRecord
from tasks.types import Claim, Lane
from workers.broker import Broker
from workers.turn_runner import TurnRunner

log = structlog.get_logger()

LOOK_SECONDS = 1.0


class Watchdog:
    """Parameters: `lanes` says which can be served now; `broker` is Valkey's URL, read over a connection of the
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
        record: TaskRecord = NO_RECORD,
    ) -> None:
        self._runner, self._lanes, self._leave, self._record = runner, lanes, leave, record
        self._silence, self._deaf = wakeup_silence_seconds, deaf_seconds
        self._broker = Broker(broker)
        self._turns: list[threading.Thread] = []
        self._looked_at = time.monotonic()
        # In looks, not in seconds: a process that was stopped for an hour has not looked any more often meanwhile.
        self._overdue_looks = self._ignored_looks = 0
        self._woken_at = runner.woken_at

    def run(self, stop: threading.Event) -> None:
        """Until `stop`, and then until the turns that it found are handed back: the worker drains first."""
        while not stop.wait(LOOK_SECONDS):
            if not self._runner.draining:
                self._look()
        for turn in self._turns:
            turn.join()
        self._broker.close()

    def _look(self) -> None:
        try:
            why = self._incurable()
            if why:
                self._leave(why)
            elif self._silent_seconds() > self._silence:
                self._claim_turn()
            self._record.succeeded()
        except ServiceFault as fault:
            self._record.failed()
            log.warning("the watchdog looks again", fault=str(fault))

    def _silent_seconds(self) -> float:
        """Since a wake-up came, or since this looked for work and there was none; 0 where no slot is free."""
        if not self._runner.free_slots:
            self._looked_at = time.monotonic()
        return time.monotonic() - max(self._runner.woken_at, self._looked_at)

    def _claim_turn(self) -> None:
        """Takes one turn where there is work, and looks again at once; else it waits as long as before."""
        for lane in sorted(self._lanes()):
            claim = self._runner.claim(lane, str(uuid.uuid4()))
            if claim is not None:
                log.warning("no wake-up came for work that waits; it is taken without one", lane=lane, job=claim.job)
                self._begin(claim)
                return
        self._looked_at = time.monotonic()

    def _begin(self, claim: Claim) -> None:
        # No background task: a turn ends by itself, and the watchdog does not end before it.
        turn = threading.Thread(target=self._take, args=(claim,), name="unwoken turn", daemon=True)
        self._turns = [*(turn for turn in self._turns if turn.is_alive()), turn]
        turn.start()

    def _take(self, claim: Claim) -> None:
        try:
            self._runner.hold(claim)
        except Exception:  # the next claim of this job tells whether it was a defect
            log.exception("a turn without a wake-up ended with an error", job=claim.job)

    def _incurable(self) -> str:
        """Why this process should end; empty where it should not."""
        overdue, woken_at = self._runner.overdue, self._runner.woken_at
        self._overdue_looks = self._overdue_looks + 1 if overdue else 0
        unwoken = woken_at == self._woken_at and self._runner.free_slots > 0
        self._ignored_looks = self._ignored_looks + 1 if unwoken and self._wakeup_waits() else 0
        self._woken_at = woken_at
        if self._overdue_looks * LOOK_SECONDS > self._deaf:
            return f"the turn at job {overdue[0]} does not end though its lease is gone"
        if self._ignored_looks * LOOK_SECONDS > self._deaf:
            return f"its consumer takes no wake-up, and some lay in its queue at each of {self._ignored_looks} looks"
        return ""

    def _wakeup_waits(self) -> bool:
        """Whether a wake-up lies there that a consumer should have taken; a broker that is away counts as none."""
        try:
            return any(self._broker.queued(lane) for lane in self._lanes())
        except BrokerUnavailable:
            return False
