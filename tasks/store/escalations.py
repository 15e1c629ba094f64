"""What is kept of a job's escalations. Each write is one transaction that begins with the fence, and the charge, the
call in the journal and the row's own state change in the same one.

A reservation is the row itself while it is open: unlike a local call's it outlives its holder, for the cloud goes on.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, case, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tasks.budgets import Amounts, above
from tasks.errors import DailyLimitReached, LimitReached
from tasks.redaction import Redaction
from tasks.store import breakers, budgets, codec, leases
from tasks.store.session import Database
from tasks.store.tables import calls, escalations, reservations
from tasks.types import (
    CallKey,
    Claim,
    CloudPlan,
    Completion,
    EscalationKind,
    EscalationRecord,
    EscalationState,
    Health,
    Operator,
)

_UNACCEPTED = (EscalationState.UNSENT, EscalationState.WAITING)
# What an escalation that was not sent, or not accepted, leaves of its reservation: nothing.
_NOTHING: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0, "finished_at": text("now()"), "next_at": None}


class PostgresEscalations:
    """Implements `tasks.ports.EscalationLedger`. Safe to share between threads. `breaker` says when a provider's
    circuit opens, and for how long."""

    def __init__(self, database: Database, breaker: breakers.BreakerRules | None = None) -> None:
        self._database, self._breaker = database, breaker or breakers.BreakerRules()

    def find(self, claim: Claim, number: int) -> EscalationRecord | None:
        """As the port has it. Raises `DatabaseUnavailable`."""
        with self._database.connect() as connection:
            return _find(connection, claim, number)

    def intend(self, claim: Claim, number: int, plan: CloudPlan) -> EscalationRecord:
        """As the port has it. Raises `BatchReserved`, `DailyReserved`, `DailyLimitReached` where it has to wait for a
        budget, `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            return self._intend(connection, claim, number, plan)

    def fall_through(self, claim: Claim, number: int, plan: CloudPlan) -> EscalationRecord:
        """As the port has it. Raises as `intend`; by then the request that was not taken is settled, so that the next
        turn asks anew."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            gone = connection.execute(
                escalations.delete()
                .where(*_is(claim, number), escalations.c.state == EscalationState.INTENT)
                .returning(escalations.c.model)
            ).scalar_one()
            _give_back(connection, claim, number)
            leases.note(connection, claim.job, "model retired", f"{gone} is served no more: {plan.model} is asked")
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            return self._intend(connection, claim, number, plan, later=True)

    def _intend(
        self, connection: Connection, claim: Claim, number: int, plan: CloudPlan, *, later: bool = False
    ) -> EscalationRecord:
        """The row of a request that is about to be sent, has to wait, or can't be paid for; of one that is to be sent
        `later`, what is known before it is sent."""
        why, seconds = _unaffordable(connection, claim, plan), 0.0
        state = EscalationState.REFUSED if why else EscalationState.INTENT
        if later and not why:
            state = EscalationState.UNSENT
        elif not why:
            seconds, why = breakers.admit(connection, plan.provider, claim.job, self._breaker)
            state = EscalationState.UNSENT if seconds else EscalationState.INTENT
        row = {
            "job_id": claim.job,
            "iteration": number,
            "kind": plan.kind,
            "model": plan.model,
            "state": state,
            "request": json.loads(plan.request),
            "reserved_usd": plan.usd,
            "prompt_tokens": plan.prompt_tokens,
            "completion_tokens": plan.completion_tokens,
            "epoch": claim.epoch,
            "error": why,
            "omissions": codec.omissions_to_json(plan.omissions),
            "request_sha256": plan.request_hash,
            "redactions": [dataclasses.asdict(redaction) for redaction in plan.redactions],
            "provider": plan.provider,
            "tries": int(state is EscalationState.INTENT),
        }
        if state is EscalationState.REFUSED:
            row |= _NOTHING
            leases.note(connection, claim.job, "escalation refused", why)
        elif seconds:
            row |= {"next_at": _in(seconds), "waits_since": func.now()}
            leases.note(connection, claim.job, "escalation waits", why)
        if state is not EscalationState.REFUSED:
            _reserve(connection, claim, number, plan.prompt_tokens + plan.completion_tokens)
        connection.execute(insert(escalations).values(row))
        if plan.redactions:
            leases.note(connection, claim.job, "redacted", f"iteration {number}: {_listed(plan.redactions)}")
        return _found(connection, claim, number)

    def intend_again(self, claim: Claim, number: int) -> EscalationRecord:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            row = connection.execute(
                select(escalations).where(*_is(claim, number), escalations.c.state.in_(_UNACCEPTED))
            ).one()
            seconds, why = breakers.admit(connection, row.provider, claim.job, self._breaker)
            sent = {"state": EscalationState.INTENT, "tries": row.tries + 1, "next_at": None, "error": ""}
            connection.execute(
                update(escalations)
                .where(*_is(claim, number))
                .values(epoch=claim.epoch, **(_until(seconds) | {"error": why} if seconds else sent))
            )
            _reserve(connection, claim, number, row.prompt_tokens + row.completion_tokens)
            return _found(connection, claim, number)

    def postpone(self, claim: Claim, number: int, why: str, seconds: float, health: Health, *, refused: bool) -> None:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        refusals = escalations.c.refusals + int(refused)
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            provider = connection.execute(
                update(escalations)
                .where(*_is(claim, number))
                .values(
                    state=case((refusals > 0, str(EscalationState.WAITING)), else_=str(EscalationState.UNSENT)),
                    response_id=None,
                    epoch=claim.epoch,
                    error=why,
                    refusals=refusals,
                    **_until(seconds),
                )
                .returning(escalations.c.provider)
            ).scalar_one()
            leases.note(connection, claim.job, "escalation waits", f"iteration {number}: {why}")
            breakers.heard(connection, provider, claim.job, health, why, self._breaker, seconds)

    def hold_back(self, claim: Claim, number: int, why: str, health: Health = Health.UNKNOWN) -> None:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            provider = connection.execute(
                update(escalations)
                .where(*_is(claim, number))
                .values(state=EscalationState.UNSENT, epoch=claim.epoch, error=why, **_NOTHING)
                .returning(escalations.c.provider)
            ).scalar_one()
            _give_back(connection, claim, number)
            leases.note(connection, claim.job, "escalation unsent", why)
            breakers.heard(connection, provider, claim.job, health, why, self._breaker)

    def identify(self, claim: Claim, number: int, response_id: str) -> None:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            provider = connection.execute(
                update(escalations)
                .where(*_is(claim, number), escalations.c.response_id.is_(None))
                .values(state=EscalationState.RUNNING, response_id=response_id, epoch=claim.epoch)
                .returning(escalations.c.provider)
            ).scalar_one()
            leases.note(connection, claim.job, "escalated", f"iteration {number}: response {response_id}")
            breakers.answered(connection, provider, self._breaker)

    def settle(
        self,
        claim: Claim,
        number: int,
        state: EscalationState,
        completion: Completion,
        error: str = "",
        health: Health = Health.UNKNOWN,
    ) -> None:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            provider = _close(connection, claim, number, state, completion, error)
            breakers.heard(connection, provider, claim.job, health, error, self._breaker)


def abandon(database: Database) -> tuple[int, ...]:
    """Settles the escalations that jobs have left open which are final by now: cancelled between two turns,
    quarantined, failed. What may have been sent becomes `unknown`, at the charge of its whole reservation.

    Returns the jobs. Raises `DatabaseUnavailable`.
    """
    with database.begin() as connection:
        left = connection.execute(
            text(f"""SELECT e.job_id, e.iteration, e.state, e.model, e.reserved_usd, e.prompt_tokens,
                           e.completion_tokens, l.epoch
                    FROM escalations e JOIN leases l ON l.job_id = e.job_id
                    WHERE e.finished_at IS NULL AND l.worker IS NULL AND EXISTS (
                        SELECT 1 FROM jobs j WHERE j.id = e.job_id
                        AND j.state IN ({leases.FINAL}))
                    ORDER BY e.id LIMIT 100 FOR UPDATE OF l SKIP LOCKED""")  # noqa: S608 - a constant
        ).all()
        for row in left:
            nobody = Claim(job=row.job_id, epoch=row.epoch, worker="relay", turn="")
            why = "the job ended while it was open"
            if row.state in _UNACCEPTED:
                state = EscalationState.FAILED if row.state == EscalationState.WAITING else EscalationState.UNSENT
                connection.execute(
                    update(escalations).where(*_is(nobody, row.iteration)).values(state=state, **_NOTHING)
                )
                continue
            lost = Completion(
                text="",
                finish_reason="lost",
                model=row.model,
                prompt_tokens=row.prompt_tokens,
                cached_tokens=0,
                completion_tokens=row.completion_tokens,
                seconds=0.0,
                usd=row.reserved_usd,
            )
            _close(connection, nobody, row.iteration, EscalationState.UNKNOWN, lost, why)
        return tuple(row.job_id for row in left)


def _found(connection: Connection, claim: Claim, number: int) -> EscalationRecord:
    record = _find(connection, claim, number)
    assert record is not None  # this transaction wrote it
    return record


def _find(connection: Connection, claim: Claim, number: int) -> EscalationRecord | None:
    waits = (
        text("greatest(0, extract(epoch FROM next_at - clock_timestamp()))::float AS wait_seconds"),
        text("coalesce(extract(epoch FROM clock_timestamp() - waits_since), 0)::float AS waited_seconds"),
    )
    row = connection.execute(select(escalations, *waits).where(*_is(claim, number))).one_or_none()
    if row is None:
        return None
    completion = None
    if row.state == EscalationState.DONE:
        call = select(calls).where(*_called(calls, claim, number))
        completion = codec.completion_from_row(connection.execute(call).one())
    return EscalationRecord(
        plan=CloudPlan(
            model=row.model,
            request=json.dumps(row.request, sort_keys=True, ensure_ascii=False),
            usd=row.reserved_usd,
            prompt_tokens=row.prompt_tokens,
            completion_tokens=row.completion_tokens,
            kind=EscalationKind(row.kind),
            provider=row.provider,
        ),
        state=EscalationState(row.state),
        open=row.finished_at is None,
        faults=_faults(connection, claim),
        response_id=row.response_id,
        completion=completion,
        error=row.error,
        tries=row.tries,
        refusals=row.refusals,
        wait_seconds=row.wait_seconds or 0.0,
        waited_seconds=row.waited_seconds,
    )


def _until(seconds: float) -> dict[str, Any]:
    """The columns of an escalation that waits for so long from now on."""
    return {
        "next_at": _in(seconds),
        "waits_since": func.coalesce(escalations.c.waits_since, func.now()),
    }


def _in(seconds: float) -> Any:
    return text("clock_timestamp() + make_interval(secs => :wait)").bindparams(wait=seconds)


def _unaffordable(connection: Connection, claim: Claim, plan: CloudPlan) -> str:
    """Why the budget can't pay for the plan's most costly outcome; nothing where it can. Raises `BatchReserved`,
    `DailyReserved`, and `DailyLimitReached` where it is the hours of today that are used up."""
    most = Amounts(usd=plan.usd, cloud_tokens=plan.prompt_tokens + plan.completion_tokens)
    try:
        budgets.admit(connection, claim.job, most)
    except (LimitReached, DailyLimitReached) as limit:
        if isinstance(limit, DailyLimitReached) and limit.unit not in budgets.OF_THE_CLOUD:
            raise
        return budgets.refusal(limit)
    return ""


def _listed(redactions: Sequence[Redaction]) -> str:
    return ", ".join(f"{redaction.count} × {redaction.kind}" for redaction in redactions)


def _close(
    connection: Connection, claim: Claim, number: int, state: EscalationState, completion: Completion, error: str
) -> str:
    """Ends an open escalation, and charges `completion`. Returns its provider."""
    mine = [*_is(claim, number), escalations.c.finished_at.is_(None)]
    planned = escalations.c.prompt_tokens + escalations.c.completion_tokens
    usd, most = connection.execute(select(escalations.c.reserved_usd, planned).where(*mine)).one()
    closed = connection.execute(
        update(escalations)
        .where(*mine)
        .values(
            state=state,
            text=completion.text,
            usd=completion.usd,
            prompt_tokens=completion.prompt_tokens,
            cached_tokens=completion.cached_tokens,
            completion_tokens=completion.completion_tokens,
            epoch=claim.epoch,
            error=error,
            finished_at=text("now()"),
            next_at=None,
        )
        .returning(escalations.c.request, escalations.c.omissions, escalations.c.provider)
    ).one()
    key = CallKey(iteration=number, operator=Operator.ESCALATE, slot=0, attempt=1)
    hashed = hashlib.sha256(json.dumps(closed.request, sort_keys=True).encode()).hexdigest()
    row = codec.call_to_row(claim, key, closed.request, hashed, completion, closed.omissions)
    connection.execute(insert(calls).values(row))
    _give_back(connection, claim, number)
    tokens = completion.prompt_tokens + completion.completion_tokens
    used = Amounts(usd=completion.usd, cloud_tokens=tokens)
    budgets.charge(connection, claim.job, used, above(used, Amounts(usd=usd, cloud_tokens=most)))
    detail = f"{completion.model}, {completion.usd:.4f} USD" + (f": {error}" if error else "")
    leases.note(connection, claim.job, f"escalation {state}", detail)
    return str(closed.provider)


def _faults(connection: Connection, claim: Claim) -> int:
    """Faults in a row. An iteration's first step is its escalation, so these are all of the cloud."""
    faults = connection.execute(text("SELECT faults FROM jobs WHERE id = :job"), {"job": claim.job}).scalar_one()
    return int(faults)


def _reserve(connection: Connection, claim: Claim, number: int, tokens: int) -> None:
    connection.execute(
        upsert(reservations)
        .values(
            job_id=claim.job,
            epoch=claim.epoch,
            iteration=number,
            operator=Operator.ESCALATE,
            slot=0,
            attempt=1,
            tokens=tokens,
        )
        .on_conflict_do_nothing()
    )


def _give_back(connection: Connection, claim: Claim, number: int) -> None:
    connection.execute(reservations.delete().where(*_called(reservations, claim, number)))


def _called(table: Any, claim: Claim, number: int) -> list[Any]:
    mine = [table.c.job_id == claim.job, table.c.iteration == number]
    return [*mine, table.c.operator == Operator.ESCALATE, table.c.slot == 0, table.c.attempt == 1]


def _is(claim: Claim, number: int) -> list[Any]:
    """An iteration is one decision, and so has one escalation at most, whatever its kind."""
    return [escalations.c.job_id == claim.job, escalations.c.iteration == number]
