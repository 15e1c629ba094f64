"""One connection a process that keeps its leases: renews those that make progress, hears cancels and
pauses, and says that the worker lives. Knows nothing of what the turns do.

Nothing that a submitter's login can do reaches further than that owner's own jobs: a lease row that such a login has
locked is passed over, and a notification, which any login may send, only makes the renewer look."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import structlog
from psycopg.rows import namedtuple_row

from tasks.store import codec
from tasks.store.address import conninfo
from tasks.store.faults import first_line
from tasks.store.heartbeats import LeaseHeartbeat
from tasks.store.pooler import refuse_pooler
from tasks.store.presence import REGISTRATION_SECONDS, WorkerRegistration, deregister, forget_others, register
from tasks.taskrecords import NO_RECORD, TaskRecord
from tasks.types import Claim

log = structlog.get_logger()

# How often the renewer pauses its renewals to look: a cancel or a pause comes by NOTIFY, so this bounds only the rest.
TICK_SECONDS = 0.5
# However many notifications come, the leases are looked at no more often than this.
GATHER_SECONDS = 0.02
# How old the last word on the calls in flight may be when a worker dies: what its record of lost work can't know.
REPORT_SECONDS = 2.0
RETRY_SECONDS = 0.5
# What Postgres raises while it is away, restarts, or stands by for another (read-only). The rest are defects.
AWAY = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)


# One row for each lease that is this worker's still, whether it could be renewed or somebody holds its row.
_RENEW = """
WITH held AS (
    SELECT * FROM unnest(%(jobs)s::bigint[], %(epochs)s::bigint[], %(tokens)s::bigint[], %(phases)s::text[],
                         %(quiet)s::float[]) AS v(job, epoch, tokens, phase, quiet)
), free AS (
    SELECT l.job_id FROM leases l JOIN held v ON l.job_id = v.job AND l.epoch = v.epoch
    WHERE l.worker = %(worker)s FOR UPDATE OF l SKIP LOCKED
), renewed AS (
    UPDATE leases l SET lease_until = now() + make_interval(secs => %(lease)s), live_tokens = v.tokens,
           phase = v.phase, progress_at = now() - make_interval(secs => v.quiet)
    FROM free, held v WHERE l.job_id = free.job_id AND v.job = l.job_id RETURNING l.job_id
)
SELECT l.job_id, EXISTS (SELECT 1 FROM renewed r WHERE r.job_id = l.job_id) AS renewed,
       j.cancel_requested_at IS NOT NULL AS cancelled, j.pause_requested_at IS NOT NULL AS paused
FROM leases l JOIN held v ON l.job_id = v.job AND l.epoch = v.epoch JOIN jobs j ON j.id = l.job_id
WHERE l.worker = %(worker)s
"""


class LeaseRenewer:
    """Renews the leases of one worker process over a connection of its own; whoever owns it runs `run` in a thread."""

    def __init__(
        self,
        url: str,
        registration: Callable[[], WorkerRegistration],
        *,
        lease_seconds: float,
        silence_seconds: float = 60.0,
        record: TaskRecord = NO_RECORD,
    ) -> None:
        self._url, self._record = conninfo(url), record
        self._registration, self._lease, self._silence = registration, lease_seconds, silence_seconds
        self._held: dict[int, LeaseHeartbeat] = {}
        self._lock = threading.Condition()  # notified when a lease is given back
        self._unread_requests = False  # a lease is held whose job's owner may have spoken before it was
        self._stop_at: float | None = None  # monotonic; set once the worker drains

    def run(self, stop: threading.Event) -> None:
        """Renews until `stop`, then takes the worker's row away. A Postgres that is away is tried again; a defect, such
        as a missing right or table, is raised."""
        while not stop.is_set():
            try:
                with self._connect() as connection:
                    refuse_pooler(connection, "a worker")
                    connection.execute("LISTEN redraft_cancel")
                    connection.execute("LISTEN redraft_pause")
                    forget_others(connection, self._registration())
                    self._renew_until(stop, connection)
                    deregister(connection, self._registration().name)
            except AWAY as error:
                self._record.failed()
                log.warning("the renewer lost Postgres and tries again", error=first_line(error))
                stop.wait(RETRY_SECONDS)

    def deregister(self) -> None:
        """Takes the worker's row away over a connection of its own, for a worker that ends while `run` does not run.
        Never raises: a row that nobody refreshes counts for nothing after some seconds."""
        try:
            with self._connect() as connection:
                deregister(connection, self._registration().name)
        except psycopg.Error as error:
            log.warning("the worker's row could not be taken away", error=first_line(error))

    def hold(self, held: Claim) -> LeaseHeartbeat:
        """Begins to renew a lease that was claimed just now."""
        now = time.monotonic()
        heartbeat = LeaseHeartbeat(held, renewed_at=now, lease_seconds=self._lease, silence_seconds=self._silence)
        heartbeat.beat()
        with self._lock:
            heartbeat.stop_at = self._stop_at  # it was claimed while the drain began
            self._held[held.job] = heartbeat
            self._unread_requests = True
        return heartbeat

    def drop(self, heartbeat: LeaseHeartbeat) -> None:
        """Ends the renewals of a lease that was given back."""
        with self._lock:
            if self._held.get(heartbeat.claim.job) is heartbeat:
                del self._held[heartbeat.claim.job]
                self._lock.notify_all()

    def drain(self, grace_seconds: float) -> None:
        """Tells every turn to stop at its next checkpoint, at the latest after `grace_seconds`; again is harmless.

        The worker's row goes away at once: nobody waits for what it hands back, nor counts on its slots.
        """
        with self._lock:
            if self._stop_at is None:
                self._stop_at = time.monotonic() + grace_seconds
            for heartbeat in self._held.values():
                heartbeat.stop_at = self._stop_at

    def wait_until_idle(self, seconds: float) -> bool:
        """Whether all leases are given back within so long."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._held, seconds)

    @property
    def holds(self) -> int:
        """How many leases are held now."""
        with self._lock:
            return len(self._held)

    def heartbeats(self) -> tuple[LeaseHeartbeat, ...]:
        """Those of all leases that are held now."""
        with self._lock:
            return tuple(self._held.values())

    @property
    def overdue(self) -> tuple[int, ...]:
        """The jobs whose turn has not ended though its lease has."""
        before = time.monotonic() - self._lease
        with self._lock:
            return tuple(job for job, heartbeat in self._held.items() if heartbeat.renewed_at < before)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self._url,
            autocommit=True,
            application_name="redraft lease renewer",
            connect_timeout=3,
            tcp_user_timeout=5000,
            options="-c statement_timeout=4000",
            row_factory=namedtuple_row,
        )

    def _renew_until(self, stop: threading.Event, connection: psycopg.Connection[Any]) -> None:
        next_renewal = next_registration = next_report = 0.0
        present, locked = True, False
        while not stop.is_set():
            now = time.monotonic()
            if self._stop_at is not None:
                if present:
                    deregister(connection, self._registration().name)
                present = False
            elif now >= next_registration:
                register(connection, self._registration())
                next_registration = now + REGISTRATION_SECONDS
            if now >= next_renewal or self._unread_requests:
                locked = self._renew(connection)
                next_renewal = now + (self._lease / 30 if locked else self._lease / 3)
            if now >= next_report:
                self._report(connection)
                next_report = now + REPORT_SECONDS
            self._record.succeeded()
            self._listen(stop, connection, min(TICK_SECONDS, self._lease / (30 if locked else 6)))

    def _listen(self, stop: threading.Event, connection: psycopg.Connection[Any], seconds: float) -> None:
        """Looks again at once where somebody has spoken of a job that is held here; after what came together, once."""
        spoken = [notice.payload for notice in connection.notifies(timeout=seconds, stop_after=1)]
        if not spoken:
            return
        stop.wait(GATHER_SECONDS)
        spoken += [notice.payload for notice in connection.notifies(timeout=0)]
        with self._lock:
            self._unread_requests = self._unread_requests or any(str(job) in spoken for job in self._held)

    def _renew(self, connection: psycopg.Connection[Any]) -> bool:
        """Renews in one statement all leases whose slot makes progress; says whether a row was locked by somebody.

        A locked row is passed over, so that it holds up no other: the slot's own writes lock it for milliseconds, and
        where its owner does so for longer, that lease alone runs out. What is no longer ours is lost.
        """
        with self._lock:
            renewed_at, self._unread_requests = time.monotonic(), False
            heartbeats: Sequence[LeaseHeartbeat] = [p for p in self._held.values() if p.alive_until >= renewed_at]
        if not heartbeats:
            return False
        rows = connection.execute(
            _RENEW,
            {
                "lease": self._lease,
                "jobs": [p.claim.job for p in heartbeats],
                "epochs": [p.claim.epoch for p in heartbeats],
                "tokens": [p.tokens for p in heartbeats],
                "phases": [p.phase for p in heartbeats],
                "quiet": [renewed_at - p.progress_at for p in heartbeats],
                "worker": heartbeats[0].claim.worker,
            },
        ).fetchall()
        ours: dict[int, Any] = {row.job_id: row for row in rows}
        for heartbeat in heartbeats:
            row = ours.get(heartbeat.claim.job)
            if row is None:
                heartbeat.lost = True
                continue
            if row.renewed:
                heartbeat.renewed_at = renewed_at  # the lease runs from before the UPDATE, never from after it
            heartbeat.paused = row.paused  # a pause may be withdrawn, a cancel may not
            heartbeat.cancelled = heartbeat.cancelled or row.cancelled
        return not all(row.renewed for row in ours.values())

    def _report(self, connection: psycopg.Connection[Any]) -> None:
        """How far the calls in flight have come: one UPDATE for all of them, and none where there are none."""
        with self._lock:
            heartbeats = list(self._held.values())
        rows = [
            (p.claim.job, p.claim.epoch, *codec.key_to_row(key).values(), tokens)
            for p in heartbeats
            for key, tokens in p.in_flight().items()
        ]
        if not rows:
            return
        connection.execute(
            """UPDATE reservations r SET received_tokens = v.tokens, seen_at = now()
               FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::text[], %s::int[], %s::text[], %s::text[],
                           %s::int[], %s::int[], %s::bigint[])
                   AS v(job, epoch, iteration, operator, slot, step, check_name, vote, attempt, tokens)
               WHERE (r.job_id, r.epoch, r.iteration, r.operator, r.slot, r.step, r.check_name, r.vote, r.attempt)
                   = (v.job, v.epoch, v.iteration, v.operator, v.slot, v.step, v.check_name, v.vote, v.attempt)""",
            [list(column) for column in zip(*rows, strict=True)],
        )
