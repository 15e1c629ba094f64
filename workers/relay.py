"""Keeps min(runnable jobs, free slots) wake-ups in each lane's queue, at once on NOTIFY and anyway every second;
frees leases that ran out, unless the machine stood still, ends the time of questions, and settles the escalations that
finished jobs left open. Level-triggered: there is no message to lose, and two relays do no harm. Must not know what a
job is."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from tasks.errors import BrokerUnavailable, DatabaseUnavailable
from tasks.store import dispatch, escalations, questions, reaping
from tasks.store.notifications import listening
from tasks.store.session import WORKER_LOCK_SECONDS, Database
from tasks.taskrecords import NO_RECORD, TaskRecord
from tasks.types import Lane
from workers.broker import Broker
from workers.standstill import Standstill

log = structlog.get_logger()

TICK_SECONDS = 1.0
# A burst of submissions is one top-up, not one for each.
GATHER_SECONDS = 0.01


class Relay:
    """Parameters: `url` of the database (a worker's login), the Celery `app`, `crash_cap` and `stall_seconds` of the
    reaper, `lease_seconds` of a lease; `on_ready` is called when the relay has looked for the first time, and after
    each time that a service was away."""

    def __init__(
        self,
        url: str,
        app: Celery,
        broker: str,
        *,
        crash_cap: int,
        stall_seconds: float,
        lease_seconds: float,
        on_ready: Callable[[], None] = lambda: None,
        record: TaskRecord = NO_RECORD,
    ) -> None:
        self._url, self._record = url, record
        self._database = Database(url, name="redraft relay", pool=2, lock_seconds=WORKER_LOCK_SECONDS)
        self._app, self._crash_cap, self._stall_seconds, self._on_ready = app, crash_cap, stall_seconds, on_ready
        self._broker, self._standstill = Broker(broker), Standstill(lease_seconds)

    def run(self, stop: threading.Event) -> None:
        """Until `stop`, which it hears within a tick. A service that is away is tried again every second."""
        while not stop.is_set():
            try:
                self._run_connected(stop)
            except (DatabaseUnavailable, BrokerUnavailable, OperationalError) as error:
                self._record.failed()
                log.warning("the relay tries again", error=str(error).strip().split("\n")[0])
                stop.wait(TICK_SECONDS)
        self._database.close()
        self._broker.close()

    def _run_connected(self, stop: threading.Event) -> None:
        with listening(self._url, "redraft_wake", name="redraft relay") as wakes:
            self.tick()
            self._on_ready()
            while not stop.is_set():
                if wakes.wait(TICK_SECONDS):
                    stop.wait(GATHER_SECONDS)
                    wakes.clear()
                self.tick()

    def tick(self) -> dict[str, int]:
        """One look: reaps, tops up; returns the wake-ups sent by lane."""
        if self._standstill.over():
            for job in reaping.reap(self._database, crash_cap=self._crash_cap, stall_seconds=self._stall_seconds):
                log.info("a lease ran out, or its holder got nowhere", job=job)
        for job in questions.give_up(self._database):
            log.info("a job goes on without an answer", job=job)
        for job in escalations.abandon(self._database):
            log.info("an escalation of a finished job is charged in full", job=job)
        sent = {lane.lane: self._top_up(lane) for lane in dispatch.demand(self._database, [str(lane) for lane in Lane])}
        self._record.succeeded()
        self._standstill.rests(TICK_SECONDS + GATHER_SECONDS)
        return {lane: number for lane, number in sent.items() if number}

    def _top_up(self, lane: dispatch.LaneDemand) -> int:
        """Sends the wake-ups that the lane's queue lacks; how many."""
        wanted = min(lane.runnable, lane.free_slots)
        if not wanted:
            return 0
        lacking = max(0, wanted - self._broker.queued(lane.lane))
        for _ in range(lacking):
            self._app.send_task("redraft.turn", args=(lane.lane,), queue=lane.lane, retry=False)
        return lacking
