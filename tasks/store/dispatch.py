"""Which job runs next, decided at the claim in SQL, and what the lanes have to do. All times are the database's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import text

from tasks.crashpoints import CrashPoint, passing
from tasks.store.session import Database
from tasks.store.tables import AGEING_SECONDS
from tasks.store.workerrows import WORKER_SILENCE_SECONDS
from tasks.types import Claim, Lane, Modality

# Fairness looks back this far: long enough for a night, short enough that last week is forgiven.
FAIRNESS_HOURS = 24

# A job whose worker died so often in a row, with no iteration recorded, may be what kills it. A worker holds one such
# job at a time, so that those that only died beside it are not quarantined with it: the cap of crashes is one more.
SUSPECT_CRASHES = 2

# What a worker may claim now. A lease row's conditions stand beside its lock, for they are looked at again under it.
_READY = """l.runnable AND l.worker IS NULL AND l.run_at <= now()
      AND (l.lane NOT IN ('gpu', 'fast') OR (l.needs <@ CAST(:offers AS text[]) AND l.context_above < :context))
      AND (l.last_worker IS NULL OR l.last_worker = :worker
           OR l.waiting_since < now() - make_interval(secs => :affinity)
           OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.name = l.last_worker
                          AND w.seen_at > now() - make_interval(secs => :silence)))
      AND ((SELECT s.crashes FROM jobs s WHERE s.id = l.job_id) < :suspect
           OR NOT EXISTS (SELECT 1 FROM leases h JOIN jobs s ON s.id = h.job_id
                          WHERE h.worker = :worker AND s.crashes >= :suspect))"""

# A few index probes for each owner that waits, whatever the length of the queue. First an interrupted job. Else the
# owners, each one's aged priority (that of its first in `queue_rank`), which rises to the most urgent that waits and no
# further, for from there on fairness decides; and of the first owner a job of the worker's own, or from there on the
# first job that no other claim holds. The jobs of a batch stand where its first one would, by their rank in it.
_CLAIM = text(f"""
WITH RECURSIVE usage AS MATERIALIZED (
    SELECT owner, floor(sum(engine_seconds) / :bucket) AS bucket FROM owner_usage
    WHERE hour > now() - make_interval(hours => :hours) GROUP BY owner
), lanes AS MATERIALIZED (
    SELECT unnest(CAST(:lanes AS text[])) AS lane
), interrupted AS (
    SELECT l.job_id FROM leases l JOIN lanes ON lanes.lane = l.lane WHERE l.interrupted AND {_READY}
    ORDER BY l.queue_rank, l.job_id LIMIT 1 FOR UPDATE OF l SKIP LOCKED
), top AS MATERIALIZED (
    SELECT extract(epoch FROM now()) / CAST(:ageing AS double precision) AS queue_rank, max(first.priority) AS priority
    FROM lanes CROSS JOIN LATERAL (SELECT l.priority FROM leases l WHERE l.lane = lanes.lane AND {_READY}
                                   ORDER BY l.priority DESC LIMIT 1) AS first
), waiting AS (
    SELECT lane, (SELECT min(l.owner) FROM leases l WHERE l.lane = lanes.lane AND l.runnable AND l.worker IS NULL)
        AS owner FROM lanes
    UNION ALL
    SELECT lane, (SELECT min(l.owner) FROM leases l WHERE l.lane = waiting.lane AND l.owner > waiting.owner
                  AND l.runnable AND l.worker IS NULL) FROM waiting WHERE owner IS NOT NULL
), owners AS MATERIALIZED (
    SELECT w.lane, w.owner, head.queue_rank, aged.priority, coalesce(u.bucket, 0) AS bucket,
           top.queue_rank - aged.priority AS upto
    FROM top, waiting w LEFT JOIN usage u ON u.owner = w.owner CROSS JOIN LATERAL (
        SELECT l.queue_rank FROM leases l WHERE l.lane = w.lane AND l.owner = w.owner AND {_READY}
        ORDER BY l.queue_rank LIMIT 1) AS head, LATERAL (
        SELECT least(top.priority, floor(top.queue_rank - head.queue_rank)) AS priority) AS aged
), own AS (
    SELECT l.job_id
    FROM leases l, (SELECT * FROM owners ORDER BY priority DESC, bucket FETCH FIRST 1 ROWS WITH TIES) AS o
    WHERE l.last_worker = :worker AND l.lane = o.lane AND l.owner = o.owner AND l.queue_rank <= o.upto AND {_READY}
    ORDER BY o.queue_rank, l.job_id LIMIT 1 FOR UPDATE OF l SKIP LOCKED
), next AS (
    SELECT first.job_id FROM (SELECT * FROM owners ORDER BY priority DESC, bucket, queue_rank) AS o CROSS JOIN LATERAL (
        SELECT l.job_id FROM leases l
        WHERE l.lane = o.lane AND l.owner = o.owner AND l.queue_rank <= o.upto AND {_READY}
        ORDER BY coalesce(l.batch_first, l.job_id), l.batch_rank, l.job_id LIMIT 1 FOR UPDATE OF l SKIP LOCKED) AS first
    LIMIT 1
), pick AS (
    SELECT job_id FROM (SELECT job_id FROM interrupted UNION ALL SELECT job_id FROM own UNION ALL SELECT job_id
                        FROM next) AS one LIMIT 1
), claimed AS (
    UPDATE leases l SET epoch = l.epoch + 1, worker = :worker, turn = :turn, stale_task_id = NULL, live_tokens = 0,
           progress_at = now(), interrupted = false, phase = 'claimed', waits_for = '', idle_since = NULL,
           held_since = now(),
           lease_until = now() + make_interval(secs => :lease)
    FROM pick, leases old WHERE l.job_id = pick.job_id AND old.job_id = l.job_id
    RETURNING l.job_id, l.epoch, l.lane, l.run_at, old.stale_task_id, old.idle_since
), begun AS (
    UPDATE jobs j SET state = CASE j.state WHEN 'queued' THEN 'running' ELSE j.state END,
           started_at = coalesce(j.started_at, now()),
           idle_seconds = j.idle_seconds + coalesce(extract(epoch FROM least(now(), c.run_at) - c.idle_since), 0)
    FROM claimed c WHERE j.id = c.job_id AND (j.state = 'queued' OR c.idle_since IS NOT NULL)
), swept AS ( -- what the last holder had reserved for calls in flight died with it
    DELETE FROM reservations r USING claimed c WHERE r.job_id = c.job_id AND r.epoch < c.epoch
)
SELECT job_id, epoch, lane, stale_task_id FROM claimed
""")  # noqa: S608 - its one part is the constant above


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """How a claim chooses; seconds on the database's clock. `modalities` are what the worker's model takes, `models`
    the names that it goes by, `context_tokens` its context: by default larger than any that a job was left over from.
    """

    lease_seconds: float = 15.0
    affinity_seconds: float = 2.0
    bucket_seconds: float = 600.0
    modalities: frozenset[Modality] = frozenset(Modality)
    models: frozenset[str] = frozenset()
    context_tokens: int = 2**31 - 1

    @property
    def offers(self) -> list[str]:
        """What a lease may need, for this worker to take it."""
        return sorted({*self.modalities, *(f"model:{name}" for name in self.models)})


def claim(database: Database, lanes: Iterable[Lane], worker: str, turn: str, rules: ClaimRules) -> Claim | None:
    """Takes the job that should run next on one of `lanes`, or None where there is none. One that has ended is taken
    for the lesson that it owes.

    Order: jobs that were interrupted, priority that ages, owners with less engine time first, the worker's own jobs,
    the owner that has waited longest, age; within a batch its jobs' ranks.
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
                "offers": rules.offers,
                "context": rules.context_tokens,
            },
        ).one_or_none()
    if row is None:
        return None
    passing(CrashPoint.CLAIMED)
    stale = row.stale_task_id
    return Claim(job=row.job_id, epoch=row.epoch, worker=worker, turn=turn, stale_task_id=stale, lane=Lane(row.lane))


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneDemand:
    """A lane's runnable jobs, and the slots that live workers have free for it. A job that not every model may work on
    counts where a worker that may has a free slot: a wake-up can't be addressed to that one."""

    lane: str
    runnable: int
    free_slots: int


def demand(database: Database, lanes: Sequence[str]) -> tuple[LaneDemand, ...]:
    """What each lane has to do and who could do it now. Raises `DatabaseUnavailable`."""
    with database.connect() as connection:
        rows = connection.execute(
            text("""
            SELECT lane, (SELECT count(*) FROM leases l WHERE l.lane = want.lane AND l.runnable
                          AND l.worker IS NULL AND l.run_at <= now()
                          AND (l.lane NOT IN ('gpu', 'fast') OR l.needs = '{text}' OR EXISTS (
                               SELECT 1 FROM workers w WHERE want.lane = ANY(w.lanes)
                               AND w.seen_at > now() - make_interval(secs => :silence)
                               AND w.slots > (SELECT count(*) FROM leases h WHERE h.worker = w.name) AND l.needs <@ (
                                   w.modalities || ARRAY(SELECT 'model:' || m FROM unnest(w.models) m))))) AS runnable,
                   (SELECT coalesce(sum(greatest(0, w.slots - (
                        SELECT count(*) FROM leases h WHERE h.worker = w.name))), 0)
                    FROM workers w WHERE want.lane = ANY(w.lanes)
                      AND w.seen_at > now() - make_interval(secs => :silence)) AS free_slots
            FROM unnest(CAST(:lanes AS text[])) AS want(lane)"""),
            {"lanes": list(lanes), "silence": WORKER_SILENCE_SECONDS},
        ).all()
    return tuple(LaneDemand(lane=row.lane, runnable=row.runnable, free_slots=int(row.free_slots)) for row in rows)
