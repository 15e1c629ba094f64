"""Doubles of the ledger of escalations and of a cloud, and what a test of escalations begins with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from tasks.deadline import NO_DEADLINE, Deadline
from tasks.escalation import Escalation
from tasks.llm.prices import Prices
from tasks.llm.responsebody import CloudTerms
from tasks.ports import Heartbeat
from tasks.turn import Turn
from tasks.types import (
    Claim,
    CloudAnswer,
    CloudEnd,
    CloudPlan,
    Completion,
    Egress,
    EscalationKind,
    EscalationRecord,
    EscalationState,
    Health,
    Usage,
)
from tasks.waits import WaitRules
from tests.advisers import one_api
from tests.turns import CLAIM, StoppedClock, job_of, turn_of

NUMBER = 3
ID = "resp_1"
TERMS = CloudTerms(model="gpt-5.4", effort="high", output_tokens=1000)
HINT_TERMS = CloudTerms(model="gpt-5.4", effort="low", output_tokens=300)
PRICES = Prices(prompt=Decimal(2), cached=Decimal(1), completion=Decimal(10))
USAGE = Usage(prompt_tokens=100, cached_tokens=40, completion_tokens=30)
ANSWER = CloudAnswer(end=CloudEnd.COMPLETED, model="gpt-5.4-2026", text="ANSWER: 42", usage=USAGE, seconds=2.5)
PLAN = CloudPlan(model="planned", request="{}", usd=Decimal("0.5"), prompt_tokens=900, completion_tokens=800)
FULL = job_of(egress=Egress.FULL)
LOOP = "A good start:\n" + "And so it goes on. " * 200
FAULT_CAP = 3
WAITS = WaitRules(tries=3, seconds=600.0)
CIRCUIT = "the circuit of cloud.example is open: no route"
BUSY = CloudAnswer(end=CloudEnd.BUSY, error="429", health=Health.FAULT, retry_seconds=20.0)


class Ledger:
    """Implements `EscalationLedger` for one escalation; keeps the names of its writes."""

    def __init__(
        self, record: EscalationRecord | None = None, *, refuse: bool = False, circuit_seconds: float = 0.0
    ) -> None:
        self.record, self.refuse, self.circuit_seconds = record, refuse, circuit_seconds
        self.writes: list[str] = []
        self.held_back: str | None = None
        self.postponed: tuple[str, float, bool] | None = None
        self.settled: tuple[EscalationState, str] | None = None
        self.charged: Completion | None = None
        self.health: Health | None = None

    def find(self, claim: Claim, number: int) -> EscalationRecord | None:
        assert (claim, number) == (CLAIM, NUMBER)
        return self.record

    def intend(self, claim: Claim, number: int, plan: CloudPlan) -> EscalationRecord:
        self._write("intend", claim, number)
        state = EscalationState.REFUSED if self.refuse else EscalationState.INTENT
        self.record = EscalationRecord(plan=plan, state=state, open=not self.refuse, tries=1)
        return self._admitted()

    def intend_again(self, claim: Claim, number: int) -> EscalationRecord:
        self._write("intend again", claim, number)
        assert self.record is not None
        self.record = replace(self.record, state=EscalationState.INTENT, tries=self.record.tries + 1)
        return self._admitted()

    def _admitted(self) -> EscalationRecord:
        assert self.record is not None
        if self.circuit_seconds:
            self.record = replace(
                self.record,
                state=EscalationState.UNSENT,
                tries=self.record.tries - 1,
                wait_seconds=self.circuit_seconds,
                error=CIRCUIT,
            )
        return self.record

    def fall_through(self, claim: Claim, number: int, plan: CloudPlan) -> EscalationRecord:
        self._write("fall through", claim, number)
        self.record = EscalationRecord(plan=plan, state=EscalationState.UNSENT, open=True)
        return self.record

    def postpone(self, claim: Claim, number: int, why: str, seconds: float, health: Health, *, refused: bool) -> None:
        self._write("postpone", claim, number)
        self.postponed, self.health = (why, seconds, refused), health

    def hold_back(self, claim: Claim, number: int, why: str, health: Health = Health.UNKNOWN) -> None:
        self._write("hold back", claim, number)
        self.held_back, self.health = why, health

    def identify(self, claim: Claim, number: int, response_id: str) -> None:
        self._write("identify", claim, number)
        assert self.record is not None
        self.record = replace(self.record, response_id=response_id)

    def settle(
        self,
        claim: Claim,
        number: int,
        state: EscalationState,
        completion: Completion,
        error: str = "",
        health: Health = Health.UNKNOWN,
    ) -> None:
        self._write("settle", claim, number)
        self.settled, self.charged, self.health = (state, error), completion, health

    def _write(self, name: str, claim: Claim, number: int) -> None:
        assert (claim, number) == (CLAIM, NUMBER)
        self.writes.append(name)


class Cloud:
    """Implements `CloudModel`: gives its `response`, raised where it is an error; keeps what it is sent."""

    provider = "cloud.example"

    def __init__(self, response: CloudAnswer | Exception = ANSWER, cancelled: CloudAnswer = ANSWER) -> None:
        self.response, self.cancelled = response, cancelled
        self.sent: list[tuple[str, EscalationKind, Egress]] = []
        self.attached: list[str] = []
        self.cancels: list[str] = []
        self.heartbeats: list[Heartbeat] = []
        self.identifies = True
        self.served: frozenset[str] | None = None
        self.asked_for_models = 0

    def start(
        self,
        request: str,
        egress: Egress,
        on_id: Callable[[str], None],
        heartbeat: Heartbeat,
        kind: EscalationKind = EscalationKind.ANSWER,
    ) -> CloudAnswer:
        self.sent.append((request, kind, egress))
        self.heartbeats.append(heartbeat)
        if self.identifies:
            on_id(ID)
        return self._respond()

    def models(self, heartbeat: Heartbeat) -> frozenset[str] | None:
        self.asked_for_models += 1
        return self.served

    def attach(self, response_id: str, heartbeat: Heartbeat) -> CloudAnswer:
        self.attached.append(response_id)
        self.heartbeats.append(heartbeat)
        return self._respond()

    def cancel(self, response_id: str) -> CloudAnswer:
        self.cancels.append(response_id)
        return self.cancelled

    def _respond(self) -> CloudAnswer:
        if isinstance(self.response, Exception):
            raise self.response
        return self.response


def escalation(ledger: Ledger, cloud: Cloud, waits: WaitRules = WAITS) -> Escalation:
    advisers = one_api(cloud, TERMS, HINT_TERMS, PRICES)
    return Escalation(ledger=ledger, advisers=advisers, fault_cap=FAULT_CAP, waits=waits)


def turn(deadline: Deadline = NO_DEADLINE, egress: Egress = Egress.FULL) -> Turn:
    return turn_of(job_of(egress=egress), deadline=deadline)


def over() -> Deadline:
    """A deadline that has passed."""
    clock = StoppedClock()
    return Deadline(at=clock.now - 1, hours=2.0, clock=clock)


def record(state: EscalationState = EscalationState.RUNNING, **fields: Any) -> EscalationRecord:
    return EscalationRecord(**{"plan": PLAN, "state": state, "open": True, "response_id": ID, **fields})


def unsent(**fields: Any) -> EscalationRecord:
    return record(EscalationState.UNSENT, **{"response_id": None, "tries": 1, **fields})


def refused(**fields: Any) -> EscalationRecord:
    """One that the provider did not take."""
    return record(EscalationState.WAITING, **{"response_id": None, "tries": 1, "refusals": 1, "error": "429", **fields})
