"""The turns of one worker process: a job is claimed for a wake-up, the turn taken, its lease renewed, Flower told. Must
not know how a job is solved."""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable

import structlog

from tasks.errors import LeaseLost, RedraftError, ServiceFault
from tasks.loop import Loop
from tasks.printable import printable
from tasks.store import dispatch
from tasks.store.heartbeats import LeaseHeartbeat
from tasks.store.lease_renewer import LeaseRenewer
from tasks.store.session import Database
from tasks.types import Claim, Lane, TurnReport
from workers.events import TurnEvents

log = structlog.get_logger()


class TurnRunner:
    """Claims jobs for wake-ups and takes turns at them.

    Parameters: `lanes` says which lanes can be served now; `loop` takes the turns; `rules` is how a claim chooses;
    `can_admit` says whether a turn on a lane finds room now, and `on_turn_end` hears when one that did has ended.
    `woken_at` is when a wake-up came last, on the monotonic clock."""

    def __init__(
        self,
        *,
        database: Database,
        renewer: LeaseRenewer,
        worker: str,
        slots: int,
        lanes: Callable[[], frozenset[Lane]],
        loop: Loop,
        rules: dispatch.ClaimRules,
        events: TurnEvents,
        can_admit: Callable[[Lane, str], bool],
        on_turn_end: Callable[[str], None],
    ) -> None:
        self._database, self._renewer, self._worker = database, renewer, worker
        self._lanes, self._loop, self._rules, self._events = lanes, loop, rules, events
        self._slots, self._can_admit, self._on_turn_end = slots, can_admit, on_turn_end
        # What a worker holds decides what it may take: two claims at once would not see each other's.
        self._claiming = threading.Lock()
        self.draining = False
        self.woken_at = time.monotonic()

    def drain(self, grace_seconds: float) -> None:
        """No new turns; those under way stop at their next checkpoint, at the latest after `grace_seconds`."""
        self.draining = True
        self._renewer.drain(grace_seconds)

    def close(self) -> None:
        """Lets go of the database; no turn may be under way."""
        self._database.close()

    @property
    def free_slots(self) -> int:
        """How many more turns could be under way."""
        return max(0, self._slots - self._renewer.holds)

    @property
    def overdue(self) -> tuple[int, ...]:
        """The jobs whose turn has not ended though its lease has."""
        return self._renewer.overdue

    def take_turn(self, lane: str, turn: str) -> None:
        """Answers one wake-up."""
        self.woken_at = time.monotonic()
        try:
            claim = self.claim(Lane(lane), turn)
        except ServiceFault as fault:
            log.warning("nothing could be claimed", fault=str(fault), task_id=turn)
            return
        if claim is not None:
            self.hold(claim)

    def claim(self, lane: Lane, turn: str) -> Claim | None:
        """The job to go on with, None where none waits or the lane can't be served now. Raises
        `DatabaseUnavailable`."""
        if self.draining or lane not in self._lanes() or not self._can_admit(lane, turn):
            return None
        claim = None
        try:
            with self._claiming:
                claim = dispatch.claim(self._database, [lane], self._worker, turn, self._rules)
        finally:
            if claim is None:
                self._on_turn_end(turn)
        return claim

    def hold(self, claim: Claim) -> None:
        """Takes the turn. A fault ends it with a line in the log: the lease runs out by itself. Every line until then
        names the job."""
        contextvars.copy_context().run(self._hold_named, claim)

    def _hold_named(self, claim: Claim) -> None:
        structlog.contextvars.bind_contextvars(job=claim.job, epoch=claim.epoch, task_id=claim.turn)
        log.info("a turn begins")
        began = time.monotonic()
        try:
            self._hold(claim)
        except ServiceFault as fault:
            log.warning("the turn ended", fault=str(fault))
        finally:
            log.info("a turn is over", seconds=round(time.monotonic() - began, 3))

    def _hold(self, claim: Claim) -> None:
        heartbeat = self._renewer.hold(claim)
        if claim.stale_task_id:
            self._events.failed(claim.stale_task_id, "its worker went silent; another went on from the journal")
        self._events.started(claim)
        progress = _TurnProgress(heartbeat, self._events)
        try:
            self._loop.turn(claim, self._lanes(), heartbeat, progress)
            if progress.failure:
                self._events.failed(claim.turn, progress.failure)
            else:
                self._events.succeeded(claim)
        except LeaseLost as lost:
            log.warning("the lease was lost; the work in flight is thrown away", why=str(lost))
            self._events.failed(claim.turn, "the lease was lost")
        except RedraftError as error:
            self._events.failed(claim.turn, str(error))
            raise
        finally:
            self._on_turn_end(claim.turn)
            self._renewer.drop(heartbeat)


class _TurnProgress:
    """Implements `Progress`: the lease shows the step under way, and Flower all of it."""

    def __init__(self, heartbeat: LeaseHeartbeat, events: TurnEvents) -> None:
        self._heartbeat, self._events = heartbeat, events
        self.failure = ""

    def report(self, report: TurnReport) -> None:
        """As the port has it."""
        self._heartbeat.phase = report.next
        structlog.contextvars.bind_contextvars(iteration=report.iteration)
        log.info("the turn goes on", next=printable(report.next), score=report.score)
        self._events.progress(self._heartbeat.claim, report)

    def ended(self, said: str, *, failed: bool) -> None:
        """As the port has it."""
        self.failure = said if failed else ""
        log.info("the turn says how it ends", said=printable(said), failed=failed)
        self._events.ends(self._heartbeat.claim, said)
