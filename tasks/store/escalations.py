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

from sqlalchemy import Connection, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tasks.budgets import Amounts
from tasks.errors import DailyLimitReached, LimitReached
from tasks.redaction import Redaction
from tasks.store import budgets, codec, leases
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
    Operator,
)


class PostgresEscalations:
    """Implements `tasks.ports.EscalationLedger`. Safe to share between threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, claim: Claim, number: int) -> EscalationRecord | None:
        """As the port has it. Raises `DatabaseUnavailable`."""
        with self._database.connect() as connection:
            return _find(connection, claim, number)

    def intend(self, claim: Claim, number: int, plan: CloudPlan) -> EscalationRecord:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            why = _unaffordable(connection, claim, plan)
            state = EscalationState.REFUSED if why else EscalationState.INTENT
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
            }
            if why:
                row |= {"prompt_tokens": 0, "completion_tokens": 0, "finished_at": text("now()")}
                leases.note(connection, claim.job, "escalation refused", why)
            else:
                _reserve(connection, claim, number, plan.prompt_tokens + plan.completion_tokens)
            connection.execute(insert(escalations).values(row))
            if plan.redactions:
                leases.note(connection, claim.job, "redacted", f"iteration {number}: {_listed(plan.redactions)}")
            return EscalationRecord(plan=plan, state=state, open=not why, faults=_faults(connection, claim))

    def intend_again(self, claim: Claim, number: int) -> None:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            row = connection.execute(
                update(escalations)
                .where(*_is(claim, number), escalations.c.state == EscalationState.UNSENT)
                .values(state=EscalationState.INTENT, epoch=claim.epoch, error="")
                .returning(escalations.c.prompt_tokens, escalations.c.completion_tokens)
            ).one()
            _reserve(connection, claim, number, row.prompt_tokens + row.completion_tokens)

    def hold_back(self, claim: Claim, number: int, why: str, *, last: bool) -> None:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        ended: dict[str, Any] = {"prompt_tokens": 0, "completion_tokens": 0, "finished_at": text("now()")}
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            connection.execute(
                update(escalations)
                .where(*_is(claim, number))
                .values(state=EscalationState.UNSENT, epoch=claim.epoch, error=why, **(ended if last else {}))
            )
            if last:
                _give_back(connection, claim, number)
                leases.note(connection, claim.job, "escalation unsent", why)

    def identify(self, claim: Claim, number: int, response_id: str) -> None:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            connection.execute(
                update(escalations)
                .where(*_is(claim, number), escalations.c.response_id.is_(None))
                .values(state=EscalationState.RUNNING, response_id=response_id, epoch=claim.epoch)
            )
            leases.note(connection, claim.job, "escalated", f"iteration {number}: response {response_id}")

    def settle(
        self, claim: Claim, number: int, state: EscalationState, completion: Completion, error: str = ""
    ) -> None:
        """As the port has it. Raises `LeaseLost`, `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            leases.fence(connection, claim)
            _close(connection, claim, number, state, completion, error)


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
            if row.state == EscalationState.UNSENT:
                connection.execute(
                    update(escalations)
                    .where(*_is(nobody, row.iteration))
                    .values(prompt_tokens=0, completion_tokens=0, finished_at=text("now()"))
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


def _find(connection: Connection, claim: Claim, number: int) -> EscalationRecord | None:
    row = connection.execute(select(escalations).where(*_is(claim, number))).one_or_none()
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
        ),
        state=EscalationState(row.state),
        open=row.finished_at is None,
        faults=_faults(connection, claim),
        response_id=row.response_id,
        completion=completion,
    )


def _unaffordable(connection: Connection, claim: Claim, plan: CloudPlan) -> str:
    """Why the budget can't pay for the plan's most costly outcome; nothing where it can. Raises `BatchReserved`,
    `DailyReserved`."""
    most = Amounts(usd=plan.usd, cloud_tokens=plan.prompt_tokens + plan.completion_tokens)
    try:
        budgets.admit(connection, claim.job, most)
    except (LimitReached, DailyLimitReached) as limit:
        return budgets.refusal(limit)
    return ""


def _listed(redactions: Sequence[Redaction]) -> str:
    return ", ".join(f"{redaction.count} × {redaction.kind}" for redaction in redactions)


def _close(
    connection: Connection, claim: Claim, number: int, state: EscalationState, completion: Completion, error: str
) -> None:
    closed = connection.execute(
        update(escalations)
        .where(*_is(claim, number), escalations.c.finished_at.is_(None))
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
        )
        .returning(escalations.c.request, escalations.c.omissions)
    ).one()
    key = CallKey(iteration=number, operator=Operator.ESCALATE, slot=0, attempt=1)
    hashed = hashlib.sha256(json.dumps(closed.request, sort_keys=True).encode()).hexdigest()
    row = codec.call_to_row(claim, key, closed.request, hashed, completion, closed.omissions)
    connection.execute(insert(calls).values(row))
    _give_back(connection, claim, number)
    tokens = completion.prompt_tokens + completion.completion_tokens
    budgets.charge(connection, claim.job, Amounts(usd=completion.usd, cloud_tokens=tokens))
    detail = f"{completion.model}, {completion.usd:.4f} USD" + (f": {error}" if error else "")
    leases.note(connection, claim.job, f"escalation {state}", detail)


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
