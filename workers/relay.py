"""Keeps min(runnable jobs, free slots) wake-ups in each lane's queue, at once on NOTIFY and anyway every second;
frees leases that ran out, and settles the escalations that finished jobs left open. Level-triggered: there is no
message to lose, and two relays do no harm."""

from __future__ import annotations

import threading

import psycopg
import redis
import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from tasks.errors import DatabaseUnavailable
from tasks.store import dispatch, escalations, reaping
from tasks.store.session import WORKER_LOCK_SECONDS, Database
from tasks.types import Lane

log = structlog.get_logger()

TICK_SECONDS = 1.0
# A burst of submissions is one top-up, not one for each.
GATHER_SECONDS = 0.01


class Relay:
    """Parameters: `url` of the database (a worker's login), the Celery `app`, `crash_cap` and `stall_seconds` of the
    reaper."""

    def __init__(self, url: str, app: Celery, broker: str, *, crash_cap: int, stall_seconds: float) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._database = Database(url, name="redraft relay", pool=2, lock_seconds=WORKER_LOCK_SECONDS)
        self._app, self._crash_cap, self._stall_seconds = app, crash_cap, stall_seconds
        self._redis = redis.Redis.from_url(broker, socket_timeout=5, socket_connect_timeout=5)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ends `run` within a tick."""
        self._stopping.set()

    def run(self) -> None:
        """Until `stop`. A service that is away is tried again every second."""
        while not self._stopping.is_set():
            try:
                with psycopg.connect(
                    self._url, autocommit=True, application_name="redraft relay", connect_timeout=3
                ) as connection:
                    connection.execute("LISTEN redraft_wake")
                    while not self._stopping.is_set():
                        self.tick()
                        if any(connection.notifies(timeout=TICK_SECONDS, stop_after=1)):
                            self._stopping.wait(GATHER_SECONDS)
                            list(connection.notifies(timeout=0))
            except (psycopg.Error, DatabaseUnavailable, redis.RedisError, OperationalError) as error:
                log.warning("the relay tries again", error=str(error).strip().split("\n")[0])
                self._stopping.wait(TICK_SECONDS)
        self._database.close()

    def tick(self) -> dict[str, int]:
        """One look: reaps, tops up; returns the wake-ups sent by lane."""
        for job in reaping.reap(self._database, crash_cap=self._crash_cap, stall_seconds=self._stall_seconds):
            log.info("a lease ran out, or its holder got nowhere", job=job)
        for job in escalations.abandon(self._database):
            log.info("an escalation of a finished job is charged in full", job=job)
        sent: dict[str, int] = {}
        for lane in dispatch.demand(self._database, [str(lane) for lane in Lane]):
            wanted = min(lane.runnable, lane.free_slots)
            if wanted:
                queued = self._redis.llen(lane.lane)
                for _ in range(wanted - int(queued)):
                    self._app.send_task("redraft.turn", args=(lane.lane,), queue=lane.lane, retry=False)
                    sent[lane.lane] = sent.get(lane.lane, 0) + 1
        return sent
