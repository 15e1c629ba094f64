"""One worker process's place of work: claims a job for a wake-up, takes the turn, keeps the lease alive,
and tells Flower. Knows nothing of how a job is solved."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from tasks.errors import LeaseLost, RedraftError, ServiceFault
from tasks.loop import Loop
from tasks.store import leases
from tasks.store.keeper import Keeper, LeasePulse
from tasks.store.session import Database
from tasks.types import Claim, Lane, TurnReport
from workers.events import TurnEvents

log = structlog.get_logger()


class Station:
    """Parameters: `lanes` says which lanes can be served now; `loop` builds the loop for one turn around
    its `say`; `rules` is how a claim chooses."""

    def __init__(
        self,
        *,
        database: Database,
        keeper: Keeper,
        worker: str,
        lanes: Callable[[], frozenset[Lane]],
        loop: Callable[[Callable[[TurnReport], None]], Loop],
        rules: leases.ClaimRules,
        events: TurnEvents,
    ) -> None:
        self._database, self._keeper, self._worker = database, keeper, worker
        self._lanes, self._loop, self._rules, self._events = lanes, loop, rules, events
        self._draining = False
        # What a worker holds decides what it may take: two claims at once would not see each other's.
        self._claiming = threading.Lock()

    def drain(self, grace_seconds: float) -> None:
        """No new turns; those under way stop at their next checkpoint, at the latest after `grace_seconds`."""
        self._draining = True
        self._keeper.drain(grace_seconds)

    def close(self) -> None:
        """Lets go of the database; no turn may be under way."""
        self._database.close()

    def take_turn(self, lane: str, turn: str) -> None:
        """Answers one wake-up. A fault ends the turn with a line in the log: the lease runs out by itself."""
        lanes = self._lanes()
        if self._draining or Lane(lane) not in lanes:
            return
        try:
            with self._claiming:
                claim = leases.claim(self._database, [Lane(lane)], self._worker, turn, self._rules)
            if claim is not None:
                self._hold(claim, lanes)
        except ServiceFault as fault:
            log.warning("the turn ended", fault=str(fault), turn=turn)

    def _hold(self, claim: Claim, lanes: frozenset[Lane]) -> None:
        pulse = self._keeper.hold(claim)
        if claim.ghost:
            self._events.failed(claim.ghost, "its worker went silent; another went on from the journal")
        self._events.started(claim)

        def say(report: TurnReport) -> None:
            pulse.phase = report.next
            self._events.progress(claim, report)

        try:
            self._loop(say).turn(claim, lanes, pulse)
            self._events.succeeded(claim)
        except LeaseLost as lost:
            log.warning("the lease was lost; the work in flight is thrown away", job=claim.job, why=str(lost))
            self._events.failed(claim.turn, "the lease was lost")
        except RedraftError as error:
            self._events.failed(claim.turn, str(error))
            raise
        finally:
            self._drop(pulse)

    def _drop(self, pulse: LeasePulse) -> None:
        self._keeper.drop(pulse)
