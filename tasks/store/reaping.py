"""What frees the leases of workers that died or got nowhere. All times are the database's."""

from __future__ import annotations

from sqlalchemy import text

from tasks.store import leases, lost_work, usage
from tasks.store.session import Database
from tasks.types import Stop, StopCode

# A holder may renew its lease and get nowhere; longer than any honest step is silent (`Settings.stall_seconds`).
STALL_SECONDS = 3900.0

# A job is claimed first once: after a second death with no iteration recorded between it may be the killer, and
# those that died with it must not all meet it again on the next worker.
_REAP = text("""
UPDATE leases l SET worker = NULL, stale_task_id = l.turn, turn = NULL, lease_until = NULL, epoch = l.epoch + 1,
       waiting_since = now(), phase = '',
       interrupted = (SELECT j.crashes = 0 FROM jobs j WHERE j.id = l.job_id)
FROM leases old
WHERE old.job_id = l.job_id AND l.job_id IN (
    SELECT job_id FROM leases
    WHERE worker IS NOT NULL AND (lease_until < now() OR progress_at < now() - make_interval(secs => :stall))
    FOR UPDATE SKIP LOCKED)
RETURNING l.job_id, l.owner, old.worker, l.lane, old.epoch, old.phase, old.lease_until < now() AS expired,
    extract(epoch FROM now() - old.progress_at) AS quiet,
    extract(epoch FROM now() - old.held_since)::float / 3600 AS hours,
    (SELECT greatest(0, extract(epoch FROM now() - w.seen_at)) FROM workers w WHERE w.name = old.worker) AS unseen
""")


def reap(database: Database, *, crash_cap: int, stall_seconds: float = STALL_SECONDS) -> tuple[int, ...]:
    """Frees every lease that ran out, and every one whose holder renews it and has given neither a token nor a verdict
    for `stall_seconds`; returns the jobs. Raises `DatabaseUnavailable`.

    A job whose holder died `crash_cap` times with no iteration recorded between is quarantined, with the
    evidence in its events, so that it stops nobody else; one whose owner has cancelled it ends there, and one whose
    owner has asked for a pause is paused.
    """
    with database.begin() as connection:
        freed = connection.execute(_REAP, {"stall": stall_seconds}).all()
        for row in freed:
            seen = "is gone" if row.unseen is None else f"was last seen {row.unseen:.0f} s ago"
            why = f"no token and no verdict for {row.quiet:.0f} s on lane {row.lane} ({row.phase or 'claimed'})"
            why += f"; worker {row.worker} {seen}"
            leases.note(connection, row.job_id, "lease expired" if row.expired else "lease taken", why)
            lost_work.charge(connection, row.job_id, epoch=row.epoch, worker=row.worker, why=why)
            job = connection.execute(
                text("""UPDATE jobs SET crashes = crashes + 1 WHERE id = :job
                        RETURNING crashes, cancel_requested_at IS NOT NULL AS cancelled"""),
                {"job": row.job_id},
            ).one()
            if job.cancelled:
                leases.end(connection, row.job_id, Stop(code=StopCode.CANCELLED))
            elif job.crashes >= crash_cap:
                crashes = Stop(code=StopCode.CRASHES, used=job.crashes, detail=row.worker)
                leases.end(connection, row.job_id, crashes)
            else:
                leases.park(connection, row.job_id, f"after its worker {row.worker} went silent")
        for row in sorted(freed, key=lambda row: row.owner):  # in one order, as another reaper's
            usage.add(connection, row.owner, hours=row.hours or 0.0)
        for lane in {row.lane for row in freed}:
            leases.wake(connection, lane)
        return tuple(row.job_id for row in freed)
