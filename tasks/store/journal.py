"""The rows of the journal: model calls, their reservations, and what each adds to the spend.

Each function is part of a transaction that has begun with the fence. Must not know why a call is made.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from tasks.budgets import NOTHING, Amounts, above
from tasks.crashpoints import CrashPoint, passing
from tasks.errors import JournalMismatch, LimitReached
from tasks.store import budgets, codec, leases
from tasks.store.tables import calls, jobs, reservations
from tasks.types import CallKey, Claim, Completion, Grant

# So often may one model's answer to one call be set aside. A change of the model does so once; prompts that differ from
# one turn to the next would do so for ever.
SET_ASIDE_CAP = 5
_COUNTS = calls.c.set_aside == 0


def find(connection: Connection, job: int, key: CallKey, prompt_hash: str) -> Completion | None:
    """The call's answer, or None. Raises `JournalMismatch` where it answers another prompt."""
    row = connection.execute(select(calls).where(*_is(calls, job, key), _COUNTS)).one_or_none()
    if row is None:
        return None
    if row.prompt_hash != prompt_hash:
        raise JournalMismatch(
            f"job {job}, iteration {key.iteration}, {key.operator} {key.slot}.{key.attempt}: the journal "
            f"holds an answer to prompt {row.prompt_hash[:12]}, the prompt built now is {prompt_hash[:12]}"
        )
    return codec.completion_from_row(row)


def set_aside(connection: Connection, job: int, key: CallKey, mismatch: JournalMismatch) -> None:
    """Takes the call out of its iteration's way, with all later ones of its slot (for a judge: of its check), which
    were built on it. They stay in the journal and in the spend.

    Raises `mismatch` where the same model's answer to this call was set aside `SET_ASIDE_CAP` times since the job was
    submitted or retried: then no change of the model explains it.
    """
    call = connection.execute(select(calls).where(*_is(calls, job, key), _COUNTS)).one()
    earlier = connection.execute(
        select(func.count()).where(*_is(calls, job, key), ~_COUNTS, calls.c.model == call.model)
    ).scalar_one()
    retries = connection.execute(select(jobs.c.retries).where(jobs.c.id == job)).scalar_one()
    if earlier >= SET_ASIDE_CAP * (1 + retries):
        raise mismatch
    slot = (
        calls.c.job_id == job,
        calls.c.iteration == key.iteration,
        calls.c.slot == key.slot,
        calls.c.check_name == key.check,
    )
    number = connection.execute(select(1 + func.max(calls.c.set_aside)).where(*slot)).scalar_one()
    later = update(calls).where(*slot, calls.c.id >= call.id, _COUNTS).values(set_aside=number)
    count = connection.execute(later).rowcount
    which = f"iteration {key.iteration}, {key.operator} {key.slot}: {count} call{'s' if count > 1 else ''}"
    why = "the prompt built now is another, as after a change of the model or of Redraft"
    leases.note(connection, job, "set aside", f"{which} of {call.model}; {why}")
    passing(CrashPoint.SETTING_ASIDE)


def reserve(connection: Connection, claim: Claim, key: CallKey, tokens: int, completion_tokens: int = 0) -> Grant:
    """Reserves `tokens` of the job's budget and of its batch's, of which at most `completion_tokens` are the answer's;
    again is harmless. Returns what the call may take. Raises as `budgets.admit` does."""
    most = connection.execute(select(jobs.c.budget_completion_tokens).where(jobs.c.id == claim.job)).scalar_one()
    granted = completion_tokens if most is None else _granted(connection, claim.job, completion_tokens, most)
    tokens -= completion_tokens - granted
    seconds = budgets.admit(connection, claim.job, Amounts(local_tokens=tokens))
    values = {"tokens": tokens, "seconds": seconds or 0.0, "completion_tokens": granted, **codec.key_to_row(key)}
    connection.execute(
        upsert(reservations).values(job_id=claim.job, epoch=claim.epoch, **values).on_conflict_do_nothing()
    )
    return Grant(completion_tokens=granted, seconds=seconds)


def commit(connection: Connection, job: int, key: CallKey, row: dict[str, Any], completion: Completion) -> None:
    """Writes the call's `row`, settles its reservation, and adds it to the spend of the job and its batch, and
    to the usage of its owner."""
    connection.execute(insert(calls).values(row))
    settled = reservations.delete().where(*_is(reservations, job, key)).returning(reservations.c.tokens)
    reserved = connection.execute(settled).scalar_one_or_none()
    used = Amounts(
        usd=completion.usd,
        local_tokens=completion.prompt_tokens + completion.completion_tokens,
        gpu_seconds=completion.seconds,
    )
    over = NOTHING if reserved is None else above(used, Amounts(local_tokens=reserved))
    budgets.charge(connection, job, used, over)


def _is(table: Any, job: int, key: CallKey) -> list[Any]:
    return [table.c.job_id == job, *(table.c[name] == value for name, value in codec.key_to_row(key).items())]


def _granted(connection: Connection, job: int, completion_tokens: int, most: int) -> int:
    """How many of `completion_tokens` a job may still write that may write `most` in all. Raises `LimitReached`."""
    written = connection.execute(
        text("""SELECT coalesce((SELECT sum(completion_tokens) FROM calls WHERE job_id = :job
                                 AND operator <> 'escalate'), 0)
                     + coalesce((SELECT sum(completion_tokens) FROM reservations WHERE job_id = :job), 0)"""),
        {"job": job},
    ).scalar_one()
    if written >= most:
        raise LimitReached("completion_tokens", int(written), most)
    return min(completion_tokens, most - int(written))
