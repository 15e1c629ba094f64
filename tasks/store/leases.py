"""Who holds which job: claim, fence, hand-over, reaping. All times are the database's.

A lease row is the lock of its job: every transaction that writes for a job begins with `fence`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from tasks.crashpoints import CrashPoint, passing
from tasks.errors import LeaseLost
from tasks.store import lost_work
from tasks.store.session import Database
from tasks.types import Claim, JobState, Lane, Modality

# A worker says that it lives every few seconds; one not seen for this long is taken for dead.
WORKER_SILENCE_SECONDS = 10.0
# Priority gains one point for each this many seconds a job has waited since it was last served, up to that of the most
# urgent job that waits: past it, whoever submits most would age past everybody else. The column `place`
# holds it, too (migration 0007).
AGEING_SECONDS = 1800.0
# Fairness looks back this far: long enough for a night, short enough that last week is forgiven.
FAIRNESS_HOURS = 24
# A holder may renew its lease and get nowhere; longer than any honest step is silent (`Settings.stall_seconds`).
STALL_SECONDS = 3900.0
# First pause after a fault of a service; it doubles with each in a row, up to the longest.
FAULT_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 120.0

# A job whose worker died so often in a row, with no iteration recorded, may be what kills it. A worker holds one such
# job at a time, so that those that only died beside it are not quarantined with it: the cap of crashes is one more.
SUSPECT_CRASHES = 2

_FINAL = ", ".join(f"'{state}'" for state in JobState if state.final)

# What a worker may claim now. A lease row's conditions stand beside its lock, for they are looked at again under it.
_READY = """l.runnable AND l.worker IS NULL AND l.run_at <= now()
      AND (l.lane NOT IN ('gpu', 'fast') OR l.needs <@ CAST(:modalities AS text[]))
      AND (l.last_worker IS NULL OR l.last_worker = :worker
           OR l.waiting_since < now() - make_interval(secs => :affinity)
           OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.name = l.last_worker
                          AND w.seen_at > now() - make_interval(secs => :silence)))
      AND ((SELECT s.crashes FROM jobs s WHERE s.id = l.job_id) < :suspect
           OR NOT EXISTS (SELECT 1 FROM leases h JOIN jobs s ON s.id = h.job_id
                          WHERE h.worker = :worker AND s.crashes >= :suspect))"""

# A few index probes for each owner that waits, whatever the length of the queue. First an interrupted job. Else the
# owners, each one's aged priority (that of its first in `place`), which rises to the most urgent that waits and no
# further, for from there on fairness decides; and of the first owner a job of the worker's own, or from there on the
# first job that no other claim holds.
_CLAIM = text(f"""
WITH RECURSIVE usage AS MATERIALIZED (
    SELECT owner, floor(sum(engine_seconds) / :bucket) AS bucket FROM owner_usage
    WHERE hour > now() - make_interval(hours => :hours) GROUP BY owner
), lanes AS MATERIALIZED (
    SELECT unnest(CAST(:lanes AS text[])) AS lane
), interrupted AS (
    SELECT l.job_id FROM leases l JOIN lanes ON lanes.lane = l.lane WHERE l.interrupted AND {_READY}
    ORDER BY l.place, l.job_id LIMIT 1 FOR UPDATE OF l SKIP LOCKED
), top AS MATERIALIZED (
    SELECT extract(epoch FROM now()) / CAST(:ageing AS double precision) AS place, max(first.priority) AS priority
    FROM lanes CROSS JOIN LATERAL (SELECT l.priority FROM leases l WHERE l.lane = lanes.lane AND {_READY}
                                   ORDER BY l.priority DESC LIMIT 1) AS first
), waiting AS (
    SELECT lane, (SELECT min(l.owner) FROM leases l WHERE l.lane = lanes.lane AND l.runnable AND l.worker IS NULL)
        AS owner FROM lanes
    UNION ALL
    SELECT lane, (SELECT min(l.owner) FROM leases l WHERE l.lane = waiting.lane AND l.owner > waiting.owner
                  AND l.runnable AND l.worker IS NULL) FROM waiting WHERE owner IS NOT NULL
), owners AS MATERIALIZED (
    SELECT w.lane, w.owner, head.place, aged.priority, coalesce(u.bucket, 0) AS bucket,
           top.place - aged.priority AS upto
    FROM top, waiting w LEFT JOIN usage u ON u.owner = w.owner CROSS JOIN LATERAL (
        SELECT l.place FROM leases l WHERE l.lane = w.lane AND l.owner = w.owner AND {_READY}
        ORDER BY l.place LIMIT 1) AS head, LATERAL (
        SELECT least(top.priority, floor(top.place - head.place)) AS priority) AS aged
), own AS (
    SELECT l.job_id
    FROM leases l, (SELECT * FROM owners ORDER BY priority DESC, bucket FETCH FIRST 1 ROWS WITH TIES) AS o
    WHERE l.last_worker = :worker AND l.lane = o.lane AND l.owner = o.owner AND l.place <= o.upto AND {_READY}
    ORDER BY o.place, l.job_id LIMIT 1 FOR UPDATE OF l SKIP LOCKED
), next AS (
    SELECT first.job_id FROM (SELECT * FROM owners ORDER BY priority DESC, bucket, place) AS o CROSS JOIN LATERAL (
        SELECT l.job_id FROM leases l
        WHERE l.lane = o.lane AND l.owner = o.owner AND l.place <= o.upto AND {_READY}
        ORDER BY l.job_id LIMIT 1 FOR UPDATE OF l SKIP LOCKED) AS first
    LIMIT 1
), pick AS (
    SELECT job_id FROM (SELECT job_id FROM interrupted UNION ALL SELECT job_id FROM own UNION ALL SELECT job_id
                        FROM next) AS one LIMIT 1
), claimed AS (
    UPDATE leases l SET epoch = l.epoch + 1, worker = :worker, turn = :turn, ghost = NULL, live_tokens = 0,
           progress_at = now(), interrupted = false, phase = 'claimed',
           lease_until = now() + make_interval(secs => :lease)
    FROM pick, leases old WHERE l.job_id = pick.job_id AND old.job_id = l.job_id
    RETURNING l.job_id, l.epoch, old.ghost
), begun AS (
    UPDATE jobs j SET state = 'running', started_at = coalesce(started_at, now())
    FROM claimed c WHERE j.id = c.job_id AND j.state = 'queued'
), swept AS ( -- what the last holder had reserved for calls in flight died with it
    DELETE FROM reservations r USING claimed c WHERE r.job_id = c.job_id AND r.epoch < c.epoch
)
SELECT job_id, epoch, ghost FROM claimed
""")  # noqa: S608 - its one part is the constant above

# A job gets its place back once: after a second death with no iteration recorded between it may be the killer, and
# those that died with it must not all meet it again on the next worker.
_REAP = text("""
UPDATE leases l SET worker = NULL, ghost = l.turn, turn = NULL, lease_until = NULL, epoch = l.epoch + 1,
       waiting_since = now(), phase = '',
       interrupted = (SELECT j.crashes = 0 FROM jobs j WHERE j.id = l.job_id)
FROM leases old
WHERE old.job_id = l.job_id AND l.job_id IN (
    SELECT job_id FROM leases
    WHERE worker IS NOT NULL AND (lease_until < now() OR progress_at < now() - make_interval(secs => :stall))
    FOR UPDATE SKIP LOCKED)
RETURNING l.job_id, old.worker, l.lane, old.epoch, old.phase, old.lease_until < now() AS expired,
    extract(epoch FROM now() - old.progress_at) AS quiet,
    (SELECT greatest(0, extract(epoch FROM now() - w.seen_at)) FROM workers w WHERE w.name = old.worker) AS unseen
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """How a claim chooses; seconds on the database's clock. `modalities` are what the worker's model takes."""

    lease_seconds: float = 15.0
    affinity_seconds: float = 2.0
    bucket_seconds: float = 600.0
    modalities: frozenset[Modality] = frozenset(Modality)


def claim(database: Database, lanes: Iterable[Lane], worker: str, turn: str, rules: ClaimRules) -> Claim | None:
    """Takes the job that should run next on one of `lanes`, or None where there is none. One that has ended is taken
    for the lesson that it owes.

    Order: jobs that were interrupted, priority that ages, owners with less engine time first, the worker's own jobs,
    the owner that has waited longest, age.
    Raises `DatabaseUnavailable`.
    """
    with database.begin() as connection:
        row = connection.execute(
            _CLAIM,
            {
                "bucket": rules.bucket_seconds,
                "hours": FAIRNESS_HOURS,
                "lanes": [str(lane) for lane in lanes],
                "worker": worker,
                "turn": turn,
                "affinity": rules.affinity_seconds,
                "silence": WORKER_SILENCE_SECONDS,
                "suspect": SUSPECT_CRASHES,
                "ageing": AGEING_SECONDS,
                "lease": rules.lease_seconds,
                "modalities": sorted(rules.modalities),
            },
        ).one_or_none()
    if row is None:
        return None
    passing(CrashPoint.CLAIMED)
    return Claim(job=row.job_id, epoch=row.epoch, worker=worker, turn=turn, stale_task_id=row.ghost)


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
) -> None:
    """Gives a fenced lease back: to `lane`, after `delay_seconds`; for good where the job is `done`, and until it is
    resumed where its owner asked for a pause. One `interrupted` by its worker's end is claimed first, by any worker."""
    parked = not done and park(connection, held.job, f"its worker {held.worker} gave it back")
    connection.execute(
        text("""UPDATE leases SET worker = NULL, turn = NULL, lease_until = NULL,
                last_worker = CASE WHEN :interrupted THEN NULL ELSE :worker END, interrupted = :interrupted,
                waiting_since = now(), run_at = now() + make_interval(secs => :delay), lane = :lane,
                runnable = :runnable, phase = '' WHERE job_id = :job"""),
        {
            "job": held.job,
            "worker": held.worker,
            "delay": delay_seconds,
            "lane": str(lane),
            "runnable": not (done or parked),
            "interrupted": interrupted,
        },
    )
    # Of a job that is done too: a slot is free, and the relay need not wait for its next tick to fill it.
    _wake(connection, lane)


def _wake(connection: Connection, lane: str) -> None:
    # Postgres lets one notifying commit through at a time, so one that comes while another is on its way leaves it to
    # that: the relay waits a little for such before it looks, and looks each second anyway.
    connection.execute(
        text("SELECT pg_notify('redraft_wake', :lane) WHERE pg_try_advisory_xact_lock(hashtext('redraft_wake'))"),
        {"lane": lane},
    )


def park(connection: Connection, job: int, detail: str) -> bool:
    """Pauses a job whose owner asked for it, and says whether that was so; its lease row must be locked by this
    transaction. A cancel goes first: the next holder hears of it."""
    asked = connection.execute(
        text("""UPDATE jobs SET state = 'paused', paused_at = now(), pause_requested_at = NULL
                WHERE id = :job AND pause_requested_at IS NOT NULL AND cancel_requested_at IS NULL"""),
        {"job": job},
    ).rowcount
    if asked:
        connection.execute(text("UPDATE leases SET runnable = false WHERE job_id = :job"), {"job": job})
        note(connection, job, "paused", detail)
    return bool(asked)


def note(connection: Connection, job: int, kind: str, detail: str = "") -> None:
    """Adds to the job's log of events."""
    connection.execute(
        text("INSERT INTO events (job_id, kind, detail) VALUES (:job, :kind, :detail)"),
        {"job": job, "kind": kind, "detail": detail},
    )


def fault_pause(faults: int) -> float:
    """Seconds to wait before the next try after `faults` faults of services in a row."""
    return float(min(LONGEST_PAUSE_SECONDS, FAULT_PAUSE_SECONDS * 2 ** max(0, faults - 1)))


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
            note(connection, row.job_id, "lease expired" if row.expired else "lease taken", why)
            lost_work.charge(connection, row.job_id, epoch=row.epoch, worker=row.worker, why=why)
            job = connection.execute(
                text("""UPDATE jobs SET crashes = crashes + 1 WHERE id = :job
                        RETURNING crashes, cancel_requested_at IS NOT NULL AS cancelled"""),
                {"job": row.job_id},
            ).one()
            if job.cancelled:
                end(connection, row.job_id, "cancelled", "cancelled by its owner")
            elif job.crashes >= crash_cap:
                why = f"its worker died {job.crashes} times in a row with no iteration recorded; last on {row.worker}"
                end(connection, row.job_id, "quarantined", why)
            else:
                park(connection, row.job_id, f"after its worker {row.worker} went silent")
        for lane in {row.lane for row in freed}:
            _wake(connection, lane)
        return tuple(row.job_id for row in freed)


def end(connection: Connection, job: int, state: str, reason: str, acceptance: str | None = None) -> None:
    """Writes a job's final state; its lease row must be locked by this transaction.

    A job ends once. What is given up of one that has ended is the lesson that it still owed.
    """
    connection.execute(text("UPDATE leases SET runnable = false WHERE job_id = :job"), {"job": job})
    ended = connection.execute(
        text(f"""UPDATE jobs SET state = :state, reason = :reason, acceptance = :acceptance, finished_at = now(),
                 pause_requested_at = NULL WHERE id = :job AND state NOT IN ({_FINAL})"""),  # noqa: S608 - as above
        {"job": job, "state": state, "reason": reason, "acceptance": acceptance},
    ).rowcount
    if not ended:
        connection.execute(text("UPDATE jobs SET lesson_due = false WHERE id = :job"), {"job": job})
        note(connection, job, "no lesson", reason)
        return
    note(connection, job, state, reason)
    connection.execute(text("SELECT pg_notify('redraft_done', :job)"), {"job": str(job)})


def served(connection: Connection, lane: Lane) -> bool:
    """Whether a live worker serves `lane` now."""
    found = connection.execute(
        text("""SELECT EXISTS (SELECT 1 FROM workers WHERE :lane = ANY(lanes)
                               AND seen_at > now() - make_interval(secs => :silence))"""),
        {"lane": str(lane), "silence": WORKER_SILENCE_SECONDS},
    ).scalar_one()
    return bool(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneDemand:
    """A lane's runnable jobs, and the slots that live workers have free for it."""

    lane: str
    runnable: int
    free_slots: int


def demand(database: Database, lanes: Sequence[str]) -> tuple[LaneDemand, ...]:
    """What each lane has to do and who could do it now. Raises `DatabaseUnavailable`."""
    with database.connect() as connection:
        rows = connection.execute(
            text("""
            SELECT lane, (SELECT count(*) FROM leases l WHERE l.lane = want.lane AND l.runnable
                          AND l.worker IS NULL AND l.run_at <= now()) AS runnable,
                   (SELECT coalesce(sum(greatest(0, w.slots - (
                        SELECT count(*) FROM leases h WHERE h.worker = w.name))), 0)
                    FROM workers w WHERE want.lane = ANY(w.lanes)
                      AND w.seen_at > now() - make_interval(secs => :silence)) AS free_slots
            FROM unnest(CAST(:lanes AS text[])) AS want(lane)"""),
            {"lanes": list(lanes), "silence": WORKER_SILENCE_SECONDS},
        ).all()
    return tuple(LaneDemand(lane=row.lane, runnable=row.runnable, free_slots=int(row.free_slots)) for row in rows)
