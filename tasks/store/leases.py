"""What the holder of a lease may do with it: the fence, the hand-over, the end. All times are the database's.

A lease row is the lock of its job: every transaction that writes for a job begins with `fence`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from tasks.errors import LeaseLost
from tasks.reasons import explain
from tasks.store import usage
from tasks.types import Claim, JobState, Lane, Stop, StopCode

# First pause after a fault of a service; it doubles with each in a row, up to the longest.
FAULT_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 120.0

# For SQL's IN: the states in which a job has ended.
FINAL = ", ".join(f"'{state}'" for state in JobState if state.final)


def fence(connection: Connection, held: Claim) -> None:
    """Locks the job's lease row for this transaction. Raises `LeaseLost` where the epoch is stale.

    Inserts can't be fenced by a WHERE of their own, so every writing transaction begins here.
    """
    row = connection.execute(
        text("SELECT 1 FROM leases WHERE job_id = :job AND epoch = :epoch AND worker = :worker FOR UPDATE"),
        {"job": held.job, "epoch": held.epoch, "worker": held.worker},
    ).one_or_none()
    if row is None:
        raise LeaseLost(f"job {held.job}: epoch {held.epoch} is stale; another worker goes on from the journal")


def release(
    connection: Connection,
    held: Claim,
    lane: Lane,
    *,
    delay_seconds: float = 0.0,
    done: bool = False,
    interrupted: bool = False,
    waits_for: str = "",
    idle: bool = False,
) -> None:
    """Gives a fenced lease back: to `lane`, after `delay_seconds`; for good where the job is `done`, and until it is
    resumed where its owner asked for a pause. One `interrupted` by its worker's end is claimed first, by any worker.
    `waits_for` says why it goes on only then; where it is `idle` until then its hours stand still."""
    parked = not done and park(connection, held.job, f"its worker {held.worker} gave it back")
    row = connection.execute(
        text("""UPDATE leases SET worker = NULL, turn = NULL, lease_until = NULL,
                last_worker = CASE WHEN :interrupted THEN NULL ELSE :worker END, interrupted = :interrupted,
                waiting_since = now(), run_at = now() + make_interval(secs => :delay), lane = :lane,
                runnable = :runnable, phase = '', waits_for = :waits_for,
                idle_since = CASE WHEN :idle THEN now() END WHERE job_id = :job
                RETURNING owner, extract(epoch FROM clock_timestamp() - held_since)::float / 3600 AS hours"""),
        {
            "waits_for": waits_for,
            "idle": idle and not (done or parked),
            "job": held.job,
            "worker": held.worker,
            "delay": delay_seconds,
            "lane": str(lane),
            "runnable": not (done or parked),
            "interrupted": interrupted,
        },
    ).one()
    usage.add(connection, row.owner, hours=row.hours or 0.0)  # none where an older release took the lease
    # Of a job that is done too: a slot is free, and the relay need not wait for its next tick to fill it.
    wake(connection, lane)


def wake(connection: Connection, lane: str) -> None:
    """Has the relay look at `lane`, once this transaction is committed."""
    # Postgres lets one notifying commit through at a time, so one that comes while another is on its way leaves it to
    # that: the relay waits a little for such before it looks, and looks each second anyway.
    connection.execute(
        text("SELECT pg_notify('redraft_wake', :lane) WHERE pg_try_advisory_xact_lock(hashtext('redraft_wake'))"),
        {"lane": lane},
    )


def park(connection: Connection, job: int, detail: str) -> bool:
    """Pauses a job whose owner asked for it, and says whether that was so; its lease row must be locked by this
    transaction. A cancel goes first: the next holder hears of it."""
    parked = connection.execute(
        text("""UPDATE jobs SET state = 'paused', paused_at = now(), pause_requested_at = NULL
                WHERE id = :job AND pause_requested_at IS NOT NULL AND cancel_requested_at IS NULL"""),
        {"job": job},
    ).rowcount
    if parked:
        connection.execute(text("UPDATE leases SET runnable = false WHERE job_id = :job"), {"job": job})
        note(connection, job, "paused", detail)
    return bool(parked)


def note(connection: Connection, job: int, kind: str, detail: str = "") -> None:
    """Adds to the job's log of events."""
    connection.execute(
        text("INSERT INTO events (job_id, kind, detail) VALUES (:job, :kind, :detail)"),
        {"job": job, "kind": kind, "detail": detail},
    )


def fault_pause(faults: int) -> float:
    """Seconds to wait before the next try after `faults` faults of services in a row."""
    return float(min(LONGEST_PAUSE_SECONDS, FAULT_PAUSE_SECONDS * 2 ** max(0, faults - 1)))


def end(connection: Connection, job: int, stop: Stop) -> None:
    """Writes a job's final state and why it ended; its lease row must be locked by this transaction.

    A job ends once. What is given up of one that has ended is the lesson that it still owed.
    """
    reason = explain(stop)
    connection.execute(text("UPDATE leases SET runnable = false WHERE job_id = :job"), {"job": job})
    ended = connection.execute(
        text(f"""UPDATE jobs SET state = :state, reason = :reason, acceptance = :acceptance, finished_at = now(),
                 stop_code = :code, stop_used = :used, stop_limit = :limit, stop_needed = :needed,
                 stop_detail = :detail, stop_value = :value, stop_ended_by = :ended_by, pause_requested_at = NULL
                 WHERE id = :job AND state NOT IN ({FINAL})"""),  # noqa: S608 - as above
        {"job": job, "state": stop.state, "reason": reason, **_stop_columns(stop)},
    ).rowcount
    if not ended:
        connection.execute(
            text("UPDATE jobs SET lesson_due = false, lesson_stop_code = :code WHERE id = :job"),
            {"job": job, "code": stop.code},
        )
        note(connection, job, "no lesson", reason)
        return
    if stop.code is StopCode.ACCEPTED:
        _choose(connection, job, stop.detail)
    note(connection, job, stop.state, reason)
    connection.execute(text("SELECT pg_notify('redraft_done', :job)"), {"job": str(job)})


def _choose(connection: Connection, job: int, candidate: str) -> None:
    """Makes the accepted candidate of that name (`2.0`) the job's answer, whichever passed first."""
    connection.execute(
        text("""UPDATE jobs SET answer = k.text, answer_iteration = k.iteration, answer_slot = k.slot,
                score = k.score, value = k.value FROM candidates k WHERE id = :job AND k.job_id = :job AND k.accepted
                AND k.iteration || '.' || k.slot = :candidate"""),
        {"job": job, "candidate": candidate},
    )


def _stop_columns(stop: Stop) -> dict[str, Any]:
    return {
        "code": stop.code,
        "used": stop.used,
        "limit": stop.limit,
        "needed": stop.needed,
        "detail": stop.detail,
        "acceptance": stop.acceptance,
        "value": stop.value,
        "ended_by": stop.ended_by,
    }
