"""One connection a process that keeps its leases: renews those that make progress, hears cancels and
pauses, and says that the worker lives. Knows nothing of what the turns do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
import structlog
from psycopg.rows import namedtuple_row

from tasks.store.pulses import LeasePulse
from tasks.types import Claim

log = structlog.get_logger()

# How often the keeper looks up from its renewals: a cancel or a pause is heard by NOTIFY, so this bounds only the rest.
TICK_SECONDS = 0.5
HEARTBEAT_SECONDS = 3.0
# How old the last word on the calls in flight may be when a worker dies: what its crash bill can't know.
REPORT_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCard:
    """How a worker presents itself in the `workers` table."""

    name: str
    host: str
    pid: int
    lanes: tuple[str, ...]
    slots: int
    model: str
    version: str
    modalities: tuple[str, ...] = ("text",)


class Keeper:
    """Renews the leases of one worker process from a thread and a connection of its own."""

    def __init__(
        self, url: str, card: Callable[[], WorkerCard], *, lease_seconds: float, silence_seconds: float = 60.0
    ) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._card, self._lease, self._silence = card, lease_seconds, silence_seconds
        self._held: dict[int, LeasePulse] = {}
        self._lock = threading.Lock()
        self._unasked = False  # a lease is held whose job's owner may have spoken before it was
        self._stop_at: float | None = None  # monotonic; set once the worker drains
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and takes the worker's row away."""
        self._stopping.set()
        self._thread.join(timeout=10)

    def hold(self, held: Claim) -> LeasePulse:
        """Begins to renew a lease that was claimed just now."""
        now = time.monotonic()
        pulse = LeasePulse(held, renewed_at=now, lease_seconds=self._lease, silence_seconds=self._silence)
        pulse.beat()
        with self._lock:
            pulse.stop_at = self._stop_at  # it was claimed while the drain began
            self._held[held.job] = pulse
            self._unasked = True
        return pulse

    def drop(self, pulse: LeasePulse) -> None:
        """Ends the renewals of a lease that was given back."""
        with self._lock:
            if self._held.get(pulse.claim.job) is pulse:
                del self._held[pulse.claim.job]

    def drain(self, grace_seconds: float) -> None:
        """Tells every turn to stop at its next checkpoint, at the latest after `grace_seconds`; again is harmless.

        The worker's row goes away at once: nobody waits for what it hands back, nor counts on its slots.
        """
        with self._lock:
            if self._stop_at is None:
                self._stop_at = time.monotonic() + grace_seconds
            for pulse in self._held.values():
                pulse.stop_at = self._stop_at

    @property
    def holds(self) -> int:
        """How many leases are held now."""
        with self._lock:
            return len(self._held)

    @property
    def overdue(self) -> tuple[int, ...]:
        """The jobs whose turn has not ended though its lease has."""
        before = time.monotonic() - self._lease
        with self._lock:
            return tuple(job for job, pulse in self._held.items() if pulse.renewed_at < before)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with psycopg.connect(
                    self._url,
                    autocommit=True,
                    application_name="redraft keeper",
                    connect_timeout=3,
                    tcp_user_timeout=5000,
                    options="-c statement_timeout=4000",
                    row_factory=namedtuple_row,
                ) as connection:
                    connection.execute("LISTEN redraft_cancel")
                    connection.execute("LISTEN redraft_pause")
                    self._keep(connection)
                    self._leave(connection)
            except psycopg.Error as error:
                log.warning("the keeper lost Postgres and tries again", error=str(error).strip().split("\n")[0])
                self._stopping.wait(0.5)

    def _keep(self, connection: psycopg.Connection[object]) -> None:
        next_renewal = next_heartbeat = next_report = 0.0
        present = True
        while not self._stopping.is_set():
            now = time.monotonic()
            if self._stop_at is not None:
                if present:
                    self._leave(connection)
                present = False
            elif now >= next_heartbeat:
                self._heartbeat(connection)
                next_heartbeat = now + HEARTBEAT_SECONDS
            if now >= next_renewal or self._unasked:
                self._renew(connection)
                next_renewal = now + self._lease / 3
            if now >= next_report:
                self._report(connection)
                next_report = now + REPORT_SECONDS
            for notice in connection.notifies(timeout=min(TICK_SECONDS, self._lease / 6), stop_after=1):
                self._tell(int(notice.payload), notice.channel)

    def _tell(self, job: int, channel: str) -> None:
        with self._lock:
            pulse = self._held.get(job)
        if pulse is not None and channel == "redraft_cancel":
            pulse.cancelled = True
        elif pulse is not None:
            pulse.paused = True

    def _leave(self, connection: psycopg.Connection[object]) -> None:
        connection.execute("DELETE FROM workers WHERE name = %s", (self._card().name,))

    def _heartbeat(self, connection: psycopg.Connection[object]) -> None:
        card = self._card()
        connection.execute(
            """INSERT INTO workers (name, host, pid, lanes, slots, model, version, modalities)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
               ON CONFLICT (name) DO UPDATE SET lanes = EXCLUDED.lanes, slots = EXCLUDED.slots, pid = EXCLUDED.pid,
                   model = EXCLUDED.model, version = EXCLUDED.version, modalities = EXCLUDED.modalities,
                   seen_at = now()""",
            (
                card.name,
                card.host,
                card.pid,
                list(card.lanes),
                card.slots,
                card.model,
                card.version,
                list(card.modalities),
            ),
        )

    def _renew(self, connection: psycopg.Connection[object]) -> None:
        """One UPDATE for all leases whose slot makes progress; what it doesn't give back is lost."""
        with self._lock:
            asked, self._unasked = time.monotonic(), False
            pulses: Sequence[LeasePulse] = [p for p in self._held.values() if p.alive_until >= asked]
        if not pulses:
            return
        rows = connection.execute(
            """UPDATE leases l SET lease_until = now() + make_interval(secs => %s), live_tokens = v.tokens,
                      phase = v.phase, progress_at = now() - make_interval(secs => v.quiet)
               FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::float[])
                   AS v(job, epoch, tokens, phase, quiet)
               WHERE l.job_id = v.job AND l.epoch = v.epoch AND l.worker = %s
               RETURNING l.job_id,
                   (SELECT j.cancel_requested_at IS NOT NULL FROM jobs j WHERE j.id = l.job_id) AS cancelled,
                   (SELECT j.pause_requested_at IS NOT NULL FROM jobs j WHERE j.id = l.job_id) AS paused""",
            (
                self._lease,
                [p.claim.job for p in pulses],
                [p.claim.epoch for p in pulses],
                [p.tokens for p in pulses],
                [p.phase for p in pulses],
                [asked - p.progress_at for p in pulses],
                pulses[0].claim.worker,
            ),
        ).fetchall()
        kept = {row.job_id: (row.cancelled, row.paused) for row in rows}  # type: ignore[attr-defined]
        for pulse in pulses:
            if pulse.claim.job in kept:
                pulse.renewed_at = asked  # the lease runs from before the UPDATE, never from after it
                cancelled, pulse.paused = kept[pulse.claim.job]  # a pause may be withdrawn, a cancel may not
                pulse.cancelled = pulse.cancelled or cancelled
            else:
                pulse.lost = True

    def _report(self, connection: psycopg.Connection[object]) -> None:
        """How far the calls in flight have come: one UPDATE for all of them, and none where there are none."""
        with self._lock:
            pulses = list(self._held.values())
        rows = [
            (p.claim.job, p.claim.epoch, key.iteration, key.operator, key.slot, key.attempt, tokens)
            for p in pulses
            for key, tokens in p.in_flight().items()
        ]
        if not rows:
            return
        connection.execute(
            """UPDATE reservations r SET received_tokens = v.tokens, seen_at = now()
               FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::text[], %s::int[], %s::int[], %s::bigint[])
                   AS v(job, epoch, iteration, operator, slot, attempt, tokens)
               WHERE (r.job_id, r.epoch, r.iteration, r.operator, r.slot, r.attempt)
                   = (v.job, v.epoch, v.iteration, v.operator, v.slot, v.attempt)""",
            [list(column) for column in zip(*rows, strict=True)],
        )
