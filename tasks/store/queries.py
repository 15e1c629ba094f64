"""What people do with jobs: submit, list, read, cancel. Row-level security decides what each may see.

Everything that a worker writes is elsewhere (ledger, leases).
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from tasks.errors import InvalidInput, NoSuchJob
from tasks.store import attachments, codec, leases
from tasks.store.session import Database
from tasks.store.session import explained as _explained
from tasks.store.summaries import EgressRow, IterationRow, JobSummary, LostWork, Submitted, VerdictRow, WorkerRow
from tasks.store.tables import jobs
from tasks.types import Acceptance, Budget, Egress, JobSpec, JobState, Lane, Spend

# Rows a statement: 21 parameters each stay far below the protocol's 65,535.
CHUNK = 1000

_SUMMARY = """
SELECT j.id, j.title, j.state, j.reason, j.acceptance, j.strategy, j.iterations, j.score, j.answer_iteration,
       j.owner, j.tags, j.spent_usd, j.local_tokens, j.cloud_tokens, j.engine_seconds, j.lane, j.egress, j.priority,
       j.key, j.budget_usd, j.budget_hours, j.budget_iterations, j.budget_tokens, j.submitted_at, j.started_at,
       j.finished_at, j.cancel_requested_at IS NOT NULL AS cancel_requested,
       j.pause_requested_at IS NOT NULL AS pause_requested, l.worker, l.phase, l.live_tokens,
       j.idle_seconds + CASE WHEN j.started_at IS NULL THEN 0 ELSE coalesce(extract(epoch FROM
           coalesce(j.finished_at, clock_timestamp()) - j.paused_at), 0) END AS idle_seconds,
       coalesce((SELECT i.operator FROM iterations i WHERE i.job_id = j.id AND i.finished_at IS NULL
                 ORDER BY i.number DESC LIMIT 1), '') AS operator,
       EXISTS (SELECT 1 FROM events e WHERE e.job_id = j.id AND e.kind = 'moved up') AS moved_up,
       clock_timestamp() AS now, redraft_crash_bill(j.id) AS crash_bill, {answer} AS answer,
       ARRAY(SELECT DISTINCT v.check_name FROM verdicts v WHERE v.job_id = j.id AND v.isolation = 'shared'
             ORDER BY 1) AS shared_checks
FROM jobs j JOIN leases l ON l.job_id = j.id
"""


def submit_jobs(
    database: Database,
    specs: Sequence[JobSpec],
    contents: Mapping[str, bytes] | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
    *,
    egress: Egress | None = None,
) -> tuple[Submitted, ...]:
    """Stores all of `specs` with their attachments in one transaction, or none; in their order.

    `contents` holds by hash what attachments hold that are not stored yet; `tell` hears how many of how many are
    sent. What may leave is decided and stored here: `never` where neither `egress`, which this installation may say,
    nor a worker that serves the cloud now opens the deployment. A spec whose key this owner has used
    before gives that job back. Raises `InvalidInput` where it was submitted with other content, or where no model
    that is served takes a new job's attachments, `DatabaseUnavailable`.
    """
    done: list[Submitted] = []
    with database.begin() as connection, _explained():
        decide = _egress(egress, served=leases.served(connection, Lane.CLOUD))
        attachments.keep(connection, specs, contents or {})
        for keyed, group in itertools.groupby(specs, key=lambda spec: spec.key is not None):
            for chunk in _batched(group):
                done += (_insert_keyed if keyed else _insert)(connection, chunk, decide)
                tell(len(done), len(specs))
        attachments.require_served(connection, [spec for spec, one in zip(specs, done, strict=True) if one.new])
    return tuple(done)


def list_jobs(
    database: Database,
    *,
    states: Sequence[JobState] = (),
    tags: Sequence[str] = (),
    owner: str | None = None,
    jobs: Sequence[int] | None = None,
    limit: int | None = None,
    before: int | None = None,
    oldest_first: bool = False,
) -> tuple[JobSummary, ...]:
    """Jobs that have one of `states`, every tag and this owner, without their answers; the newest first, or the oldest.

    At most `limit` of them, with numbers below `before`: the last number of a page begins the next one.
    """
    wanted = "WHERE (:any_state OR j.state = ANY(:states)) AND j.tags @> CAST(:tags AS text[])"
    wanted += " AND (CAST(:owner AS text) IS NULL OR j.owner = :owner)"
    wanted += " AND (CAST(:jobs AS bigint[]) IS NULL OR j.id = ANY(:jobs))"
    wanted += " AND (CAST(:before AS bigint) IS NULL OR j.id < :before)"
    query = _SUMMARY.format(answer="NULL") + wanted + f" ORDER BY j.id {'ASC' if oldest_first else 'DESC'} LIMIT :limit"
    given = {
        "any_state": not states,
        "states": [str(state) for state in states],
        "tags": list(tags),
        "owner": owner,
        "jobs": None if jobs is None else list(jobs),
        "limit": limit,
        "before": before,
    }
    with database.connect() as connection, _explained():
        return tuple(_summary(row) for row in connection.execute(text(query), given))


def job_summary(database: Database, job: int) -> JobSummary:
    """One job with its best answer so far. Raises `NoSuchJob`, `DatabaseUnavailable`."""
    query = text(_SUMMARY.format(answer="j.answer") + "WHERE j.id = :job")
    with database.connect() as connection, _explained():
        row = connection.execute(query, {"job": job}).one_or_none()
    if row is None:
        raise NoSuchJob(job)
    return _summary(row)


def job_history(database: Database, job: int) -> tuple[IterationRow, ...]:
    """A job's recorded iterations, the first first. Raises `NoSuchJob`, `DatabaseUnavailable`."""
    with database.connect() as connection, _explained():
        if connection.execute(select(jobs.c.id).where(jobs.c.id == job)).one_or_none() is None:
            raise NoSuchJob(job)
        said: dict[tuple[int, int], list[VerdictRow]] = {}
        query = text("SELECT * FROM verdict_history WHERE job = :job ORDER BY iteration, slot, ordinal")
        for v in connection.execute(query, {"job": job}):
            said.setdefault((v.iteration, v.slot), []).append(
                VerdictRow(
                    check=v.check_name,
                    passed=v.passed,
                    held_out=v.held_out,
                    score=v.score,
                    feedback=v.feedback,
                    isolation=v.isolation,
                )
            )
        query = text("SELECT * FROM iteration_history WHERE job = :job ORDER BY iteration")
        return tuple(
            IterationRow(
                iteration=row.iteration,
                operator=row.operator,
                model=row.model,
                candidate=row.candidate,
                score=row.score,
                guard=row.guard,
                verdicts=tuple(said.get((row.iteration, row.slot), ())),
                prompt_tokens=row.prompt_tokens,
                cached_tokens=row.cached_tokens,
                completion_tokens=row.completion_tokens,
                usd=row.usd,
                seconds=row.seconds,
                worker=row.worker,
                epoch=row.epoch,
                decision=row.decision,
            )
            for row in connection.execute(query, {"job": job})
        )


def job_egress(database: Database, job: int) -> tuple[EgressRow, ...]:
    """What left for the cloud, the first first; nothing has left of what was refused or unsent. Raises `NoSuchJob`,
    `DatabaseUnavailable`."""
    query = text("""SELECT * FROM escalation_history WHERE job = :job AND state NOT IN ('refused', 'unsent')
                    ORDER BY escalation""")
    with database.connect() as connection, _explained():
        if connection.execute(select(jobs.c.id).where(jobs.c.id == job)).one_or_none() is None:
            raise NoSuchJob(job)
        return tuple(
            EgressRow(
                escalation=row.escalation,
                iteration=row.iteration,
                kind=row.kind,
                model=row.model,
                state=row.state,
                response_id=row.response_id,
                request=json.dumps(row.request, sort_keys=True, ensure_ascii=False),
                reserved_usd=row.reserved_usd,
                usd=row.usd,
                prompt_tokens=row.prompt_tokens,
                cached_tokens=row.cached_tokens,
                completion_tokens=row.completion_tokens,
                error=row.error,
                created_at=row.created_at,
                finished_at=row.finished_at,
            )
            for row in connection.execute(query, {"job": job})
        )


def request_cancel(database: Database, job: int) -> JobState:
    """Cancels a job, at once where no worker holds it; its holder is told otherwise. A finished job stays as it is.

    Returns the state it has now. Raises `NoSuchJob`, `DatabaseUnavailable`.
    """
    with database.begin() as connection, _explained():
        state = connection.execute(text("SELECT redraft_cancel(:job)"), {"job": job}).scalar_one()
    if state is None:
        raise NoSuchJob(job)
    return JobState(state)


def live_workers(database: Database) -> tuple[WorkerRow, ...]:
    """Every worker that has presented itself and not said goodbye. Raises `DatabaseUnavailable`."""
    query = text("SELECT *, extract(epoch FROM now() - seen_at)::float AS silent_seconds FROM workers ORDER BY name")
    with database.connect() as connection, _explained():
        return tuple(
            WorkerRow(
                name=row.name,
                host=row.host,
                pid=row.pid,
                lanes=tuple(row.lanes),
                slots=row.slots,
                model=row.model,
                modalities=tuple(row.modalities),
                silent_seconds=row.silent_seconds,
            )
            for row in connection.execute(query)
        )


def relay_connected(database: Database) -> bool:
    """Whether a relay is connected to Postgres. Raises `DatabaseUnavailable`."""
    query = text("SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'redraft relay')")
    with database.connect() as connection, _explained():
        return bool(connection.execute(query).scalar_one())


def spec_hash(spec: JobSpec) -> str:
    """What two submissions under one key must have in common: everything but the key. Of the egress it holds what the
    job names."""
    return hashlib.sha256(json.dumps(_columns(spec), sort_keys=True, default=str).encode()).hexdigest()


def _columns(spec: JobSpec) -> dict[str, Any]:
    return {
        "title": spec.title,
        "problem": spec.problem,
        "checks": codec.checks_to_json(spec.checks),
        "strategy": spec.strategy,
        "lane": str(spec.lane),
        "egress": str(spec.egress or ""),
        "priority": spec.priority,
        "tags": list(spec.tags),
        "seed": spec.seed,
        "budget_usd": spec.budget.usd,
        "budget_hours": spec.budget.hours,
        "budget_iterations": spec.budget.iterations,
        "budget_tokens": spec.budget.tokens,
        "memory": spec.memory,
        "attachments": [codec.attachment_to_json(attachment) for attachment in spec.attachments],
    }


Decide = Callable[[JobSpec], Egress]


def _egress(said: Egress | None, *, served: bool) -> Decide:
    """What may leave of a job: what it names, else what this installation `said`, else all where the cloud is
    `served`; and nothing where there is no cloud, for what is stored must hold when one is configured later."""
    default = said or (Egress.FULL if served else Egress.NEVER)
    opened = served or default is not Egress.NEVER
    return lambda spec: (spec.egress or default) if opened else Egress.NEVER


def _row(spec: JobSpec, decide: Decide) -> dict[str, Any]:
    return {**_columns(spec), "egress": str(decide(spec)), "key": spec.key, "spec_hash": spec_hash(spec)}


def _insert(connection: Connection, specs: Sequence[JobSpec], decide: Decide) -> list[Submitted]:
    statement = insert(jobs).returning(jobs.c.id, sort_by_parameter_order=True)
    made = connection.execute(statement, [_row(spec, decide) for spec in specs]).scalars()
    return [Submitted(job=job, new=True, egress=decide(spec)) for job, spec in zip(made, specs, strict=True)]


def _insert_keyed(connection: Connection, specs: Sequence[JobSpec], decide: Decide) -> list[Submitted]:
    statement = upsert(jobs).on_conflict_do_nothing(constraint="jobs_owner_key").returning(jobs.c.id)
    made = set(connection.execute(statement, [_row(spec, decide) for spec in specs]).scalars())
    known = text("SELECT id, key, spec_hash, egress FROM jobs WHERE owner = SESSION_USER AND key = ANY(:keys)")
    stored = {row.key: row for row in connection.execute(known, {"keys": [spec.key for spec in specs]})}
    done = []
    for spec in specs:
        row = stored[spec.key]
        if row.spec_hash != spec_hash(spec) and not _same_but_for_egress(row, spec):
            raise InvalidInput("key", spec.key, f"it names job {row.id}, whose content is another; take a new key")
        done.append(Submitted(job=row.id, new=row.id in made, egress=Egress(row.egress)))
        made.discard(row.id)  # the second of two lines with one key made nothing
    return done


def _same_but_for_egress(row: Row[Any], spec: JobSpec) -> bool:
    """Whether a job that names no egress is the stored one, which was stored when every job had one of its own."""
    return spec.egress is None and any(
        row.spec_hash == spec_hash(dataclasses.replace(spec, egress=egress)) for egress in Egress
    )


def _batched(specs: Iterator[JobSpec]) -> Iterator[tuple[JobSpec, ...]]:
    """`itertools.batched`, which Python 3.11 lacks."""
    while chunk := tuple(itertools.islice(specs, CHUNK)):
        yield chunk


def _summary(row: Row[Any]) -> JobSummary:
    return JobSummary(
        job=row.id,
        title=row.title,
        state=JobState(row.state),
        reason=row.reason,
        acceptance=Acceptance(row.acceptance) if row.acceptance else None,
        strategy=row.strategy,
        iterations=row.iterations,
        score=row.score,
        answer=row.answer,
        answer_iteration=row.answer_iteration,
        owner=row.owner,
        tags=tuple(row.tags),
        spend=Spend(
            usd=Decimal(row.spent_usd),
            local_tokens=row.local_tokens,
            cloud_tokens=row.cloud_tokens,
            engine_seconds=row.engine_seconds,
        ),
        budget=Budget(
            usd=Decimal(row.budget_usd),
            hours=row.budget_hours,
            iterations=row.budget_iterations,
            tokens=row.budget_tokens,
        ),
        lane=Lane(row.lane),
        egress=Egress(row.egress),
        priority=row.priority,
        key=row.key,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested=row.cancel_requested,
        pause_requested=row.pause_requested,
        idle_seconds=float(row.idle_seconds),
        worker=row.worker,
        phase=row.phase,
        live_tokens=row.live_tokens,
        operator=row.operator,
        now=row.now,
        moved_up=row.moved_up,
        crash_bill=LostWork(**row.crash_bill),
        shared_checks=tuple(row.shared_checks),
    )
