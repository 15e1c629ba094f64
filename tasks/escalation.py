"""The escalation of a job to the cloud: at most one request for each decision, reserved before it is sent. Over ports
only.

Every step is committed before the next one begins, so that what is stored explains a turn that was killed anywhere:
an intent without an id may have been received, and is never sent again. What the provider surely did not accept waits
and is sent again, while its job holds no slot.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from tasks.advisers import Adviser
from tasks.crashpoints import CrashPoint, passing
from tasks.errors import Cancelled, CloudFault, CloudUnreached, CloudWaits, LimitReached
from tasks.llm.guard import Guard
from tasks.llm.outgoing import without_secrets
from tasks.ports import EscalationLedger
from tasks.redaction import Redactor
from tasks.turn import Turn
from tasks.types import (
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
from tasks.waits import PATIENT, WaitRules, pause

HOURS_OVER = "the job's hours were over"
NO_USAGE = Usage(prompt_tokens=0, cached_tokens=0, completion_tokens=0)


class NoCloud:
    """The twin of a deployment without a cloud model: nothing is sent, and no answer comes."""

    def answer(self, turn: Turn, number: int, kind: EscalationKind = EscalationKind.ANSWER) -> Completion | None:
        """None."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Implements `Cloud`. `advisers` are those who give each kind of help, none where nobody does; `egress` is the most
    that the operator lets leave for any job. `fault_cap` turns in a row may fail to fetch an answer; then the job goes
    on without it. `waits` bounds how long and how often a request that was not accepted is sent again. `redactor` takes
    secrets out of every request before it is stored."""

    ledger: EscalationLedger
    advisers: Mapping[EscalationKind, Adviser]
    fault_cap: int
    egress: Egress = Egress.FULL
    redactor: Redactor = field(default_factory=Redactor)
    waits: WaitRules = PATIENT

    def answer(self, turn: Turn, number: int, kind: EscalationKind = EscalationKind.ANSWER) -> Completion | None:
        """As the port has it: sent once, re-attached to by its id, or read from the ledger. Once the job's hours are
        over nothing is sent, and a response that runs is cancelled and settled; one that was whole by then is the
        answer."""
        adviser = self.advisers.get(kind)
        if adviser is None or not (self.egress.allows(kind) and (turn.job.spec.egress or Egress.NEVER).allows(kind)):
            return None
        record = self.ledger.find(turn.claim, number)
        if record is None:
            turn.deadline.check()
            return self._admitted(turn, number, self.ledger.intend(turn.claim, number, self._plan(turn, kind, adviser)))
        return self._resume(turn, number, record) if record.open else record.completion

    def _resume(self, turn: Turn, number: int, record: EscalationRecord) -> Completion | None:
        """Goes on from what an earlier turn has committed."""
        match record.state:
            case EscalationState.UNSENT | EscalationState.WAITING if turn.deadline.passed:
                self._drop(turn, number, record, HOURS_OVER)
                return None
            case EscalationState.UNSENT | EscalationState.WAITING if record.wait_seconds > 0:
                raise CloudWaits(record.wait_seconds, record.error)
            case EscalationState.UNSENT | EscalationState.WAITING:
                return self._admitted(turn, number, self.ledger.intend_again(turn.claim, number))
            case EscalationState.RUNNING if record.response_id is not None:
                fetch = partial(self.advisers[record.plan.kind].api.attach, record.response_id, turn.call_heartbeat)
                return self._conclude(turn, number, record, fetch)
            case _:
                why = "its turn ended between the request and the cloud's id, so it may have been received"
                lost = CloudAnswer(end=CloudEnd.LOST, error=why, health=Health.UNKNOWN)
                return self._settle(turn, number, record, lost)

    def _admitted(self, turn: Turn, number: int, record: EscalationRecord) -> Completion | None:
        """Sends what the ledger lets through. What the budget can't pay for is over; what the circuit of its provider
        keeps back waits, or is over where the job shall go on without it."""
        if record.state is EscalationState.INTENT:
            passing(CrashPoint.INTENDED)
            return self._send(turn, number, record)
        if not record.open:
            return None
        enough = "the job goes on without it" if self.waits.local else self._enough(turn, record, record.wait_seconds)
        if not enough:
            raise CloudWaits(record.wait_seconds, record.error)
        self._drop(turn, number, record, f"{record.error}; {enough}")
        return None

    def _plan(self, turn: Turn, kind: EscalationKind, adviser: Adviser) -> CloudPlan:
        """The first model of the ladder that is served: asked for where there is a choice."""
        served = adviser.api.models(turn.call_heartbeat) if len(adviser.offers) > 1 else None
        plan = adviser.plan(turn.job, kind, served)
        return without_secrets(plan, self.redactor, adviser.prices(plan.model))

    def _send(self, turn: Turn, number: int, record: EscalationRecord) -> Completion | None:
        def identify(response_id: str) -> None:
            passing(CrashPoint.POSTED)
            self.ledger.identify(turn.claim, number, response_id)
            passing(CrashPoint.IDENTIFIED)

        plan, egress = record.plan, turn.job.spec.egress or Egress.NEVER
        start = self.advisers[plan.kind].api.start
        fetch = partial(start, plan.request, egress, identify, turn.call_heartbeat, plan.kind)
        return self._conclude(turn, number, record, fetch)

    def _conclude(
        self, turn: Turn, number: int, record: EscalationRecord, fetch: Callable[[], CloudAnswer]
    ) -> Completion | None:
        """Fetches the answer, and commits it. A fault is raised, unless there were too many in a row; what was not
        accepted waits."""
        last = record.faults + 1 >= self.fault_cap
        try:
            answer = fetch()
        except CloudUnreached as fault:
            health = Health.UNKNOWN if fault.stopped else Health.FAULT
            busy = CloudAnswer(end=CloudEnd.BUSY, error=str(fault), health=health)
            return self._postpone(turn, number, record, busy, refused=False)
        except CloudFault as fault:
            if not last:
                raise
            answer = CloudAnswer(end=CloudEnd.LOST, error=f"given up: {fault}", health=Health.FAULT)
        except Cancelled:
            self._withdraw(turn, number, record, "cancelled by its owner")
            raise
        except LimitReached:
            completion = self._withdraw(turn, number, record, HOURS_OVER)
            if completion is None:
                raise
            return completion
        if answer.end is CloudEnd.BUSY:
            return self._postpone(turn, number, record, answer, refused=True)
        lower = self.advisers[record.plan.kind].next_plan(record.plan) if answer.end is CloudEnd.RETIRED else None
        if lower is not None:  # the next model of the ladder: the request was not taken, and nothing is charged
            record = self.ledger.fall_through(turn.claim, number, lower)
            passing(CrashPoint.POSTPONED)
            return self._resume(turn, number, record) if record.open else None
        return self._settle(turn, number, record, answer)

    def _postpone(
        self, turn: Turn, number: int, record: EscalationRecord, busy: CloudAnswer, *, refused: bool
    ) -> Completion | None:
        """Lets a request that was not accepted wait for its next try, or ends it, uncharged, where that is enough."""
        seconds = pause(record.tries, f"{turn.job.id}/{number}/{record.tries}", busy.retry_seconds)
        enough = self._enough(turn, record, seconds)
        if enough:
            ended = dataclasses.replace(busy, error=f"{busy.error}; {enough}")
            if refused or record.refusals:
                return self._settle(turn, number, record, ended)
            self.ledger.hold_back(turn.claim, number, ended.error, busy.health)
            return None
        self.ledger.postpone(turn.claim, number, busy.error, seconds, busy.health, refused=refused)
        passing(CrashPoint.POSTPONED)
        raise CloudWaits(seconds, busy.error)

    def _enough(self, turn: Turn, record: EscalationRecord, seconds: float) -> str:
        """Why the escalation does not wait so long, or nothing."""
        return self.waits.enough(
            tries=record.tries, waited=record.waited_seconds, seconds=seconds, left=turn.deadline.left_seconds
        )

    def _drop(self, turn: Turn, number: int, record: EscalationRecord, why: str) -> None:
        """Ends a request that waited, uncharged."""
        if record.refusals:
            busy = CloudAnswer(end=CloudEnd.BUSY, error=why, health=Health.UNKNOWN)
            self._settle(turn, number, record, busy)
        else:
            self.ledger.hold_back(turn.claim, number, why)

    def _withdraw(self, turn: Turn, number: int, record: EscalationRecord, why: str) -> Completion | None:
        """Cancels the response, and charges what it cost until then; the answer, where it was whole by then."""
        now = self.ledger.find(turn.claim, number)
        if now is not None and now.response_id is not None:
            answer = self.advisers[record.plan.kind].api.cancel(now.response_id)
        else:
            lost = f"{why} before the cloud's id was known"
            answer = CloudAnswer(end=CloudEnd.LOST, error=lost, health=Health.UNKNOWN)
        return self._settle(turn, number, record, answer)

    def _settle(self, turn: Turn, number: int, record: EscalationRecord, answer: CloudAnswer) -> Completion | None:
        passing(CrashPoint.ANSWERED)
        completion = self._completion(record, answer)
        match answer.end:
            case CloudEnd.COMPLETED if answer.text.strip():
                state, error = EscalationState.DONE, ""
            case CloudEnd.LOST:
                state, error = EscalationState.UNKNOWN, answer.error
            case _:
                state, error = EscalationState.FAILED, answer.error or "it brought no text"
        self.ledger.settle(turn.claim, number, state, completion, error, answer.health)
        passing(CrashPoint.SETTLED)
        return completion if state is EscalationState.DONE else None

    def _completion(self, record: EscalationRecord, answer: CloudAnswer) -> Completion:
        """The answer, and what it costs. It is paid for and won't be asked again: one that repeats itself is let
        through, up to where it falls into a loop beyond doubt."""
        usage, usd = self._charge(record.plan, answer)
        guard = Guard(runs_on=True)
        hit = guard.feed(answer.text) or guard.finish()
        finish_reason = "stop" if answer.end is CloudEnd.COMPLETED else str(answer.end)
        return Completion(
            text=answer.text if hit is None else answer.text[: hit.at_char],
            finish_reason=finish_reason if hit is None else "guard",
            model=answer.model or record.plan.model,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=usage.completion_tokens,
            seconds=answer.seconds,
            guard=hit,
            let_through=None if hit else guard.let_through,
            usd=usd,
            engine=self.advisers[record.plan.kind].engine,
        )

    def _charge(self, plan: CloudPlan, answer: CloudAnswer) -> tuple[Usage, Decimal]:
        """What the cloud says it used, nothing for a request that it did not take, and else the whole reservation."""
        if answer.usage is not None:
            return answer.usage, self.advisers[plan.kind].cost(plan.model, answer.usage)
        if answer.end in (CloudEnd.REJECTED, CloudEnd.BUSY, CloudEnd.RETIRED):
            return NO_USAGE, Decimal(0)
        reserved = Usage(prompt_tokens=plan.prompt_tokens, cached_tokens=0, completion_tokens=plan.completion_tokens)
        return reserved, plan.usd
