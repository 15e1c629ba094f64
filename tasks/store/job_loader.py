"""A job's whole past, read in one transaction: what the loop's next step is built from, and what an export shows.
Writes nothing, and needs no lease: row-level security decides who may read it."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, select, text

from tasks.errors import NoSuchJob
from tasks.store import attachments, breakers, budgets, check_edits, codec, fleet, hints, stored
from tasks.store.session import Database, explained
from tasks.store.tables import candidates, iterations, jobs, verdicts
from tasks.types import (
    Acceptance,
    Candidate,
    CandidateRef,
    Hint,
    HintSource,
    Iteration,
    Job,
    JobState,
    Lane,
    OpenIteration,
    Operator,
    Spend,
    Stop,
    StopCode,
    Verdict,
)

# Up to now where the job is paused, has ended or waits for the end of a day, so that its hours stand still.
_IDLE = """idle_seconds + CASE WHEN started_at IS NULL THEN 0
               ELSE coalesce(extract(epoch FROM now() - coalesce(paused_at, finished_at)), 0) END
           + coalesce((SELECT extract(epoch FROM least(now(), l.run_at) - l.idle_since) FROM leases l
                       WHERE l.job_id = jobs.id), 0) AS idle"""
# Not the transaction's beginning: it may have waited for its lease row.
_NOW = "clock_timestamp() AS now"


def load_job(database: Database, job: int) -> Job:
    """One of the login's own jobs with all that is committed of it. Raises `NoSuchJob`, `MalformedJob`,
    `DatabaseUnavailable`."""
    with database.begin() as connection, explained():
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        stored_job = read_job(connection, job)
    if stored_job is None:
        raise NoSuchJob(job)
    return stored_job


def read_job(connection: Connection, job: int) -> Job | None:
    """The job with all that is committed of it, or None where the login sees no such job. Raises `MalformedJob`,
    `AttachmentLost`."""
    row = connection.execute(select(jobs, text(_IDLE), text(_NOW)).where(jobs.c.id == job)).one_or_none()
    if row is None:
        return None
    lane = connection.execute(text("SELECT lane FROM leases WHERE job_id = :job"), {"job": job}).scalar_one()
    rounds = connection.execute(
        select(iterations).where(iterations.c.job_id == job).order_by(iterations.c.number)
    ).all()
    checked, by_iteration = _candidates(connection, job)
    spec, given = stored.spec_of(row), hints.read(connection, job)
    past = _past(rounds, by_iteration)
    return Job(
        id=job,
        owner=row.owner,
        spec=spec,
        lane=Lane(lane),
        history=tuple(iteration for iteration in past if iteration.number >= row.checks_since),
        earlier=tuple(iteration for iteration in past if iteration.number < row.checks_since),
        new_checks=check_edits.waiting(connection, job),
        open=_open(rounds, by_iteration, checked),
        incumbent=next((c for c in by_iteration.get(row.answer_iteration, ()) if c.ref.slot == row.answer_slot), None),
        spend=_spend(row),
        started_at=row.started_at or row.now,
        idle_seconds=float(row.idle),
        read_at=row.now,
        lessons=codec.lessons_from_json(row.recalled),
        ended=_ended(row),
        cloud=_cloud(connection, row.owner),
        away=breakers.away(connection),
        texts=attachments.texts(connection, spec),
        batch=row.batch_id,
        hints=_hints(connection, job, rounds, hints.seen(given)),
        waiting_hints=len(given) - len(hints.seen(given)),
    )


def _past(rounds: Sequence[Row[Any]], by_iteration: Mapping[int, list[Candidate]]) -> tuple[Iteration, ...]:
    """All iterations that are recorded."""
    return tuple(
        Iteration(
            number=row.number,
            operator=Operator(row.operator),
            candidates=tuple(by_iteration.get(row.number, ())),
            inputs=tuple(row.inputs or ()),
            hint=row.hint,
        )
        for row in rounds
        if row.finished_at is not None
    )


def refresh(connection: Connection, job: Job) -> Job:
    """The job with its budget, its spend, its hours, the hints and the change of its checks that wait, and the lanes
    that are served as they are now, and all else as it was."""
    given = hints.read(connection, job.id)
    row = connection.execute(select(jobs, text(_IDLE), text(_NOW)).where(jobs.c.id == job.id)).one()
    return dataclasses.replace(
        job,
        spec=dataclasses.replace(job.spec, budget=stored.budget_of(row)),
        spend=_spend(row),
        idle_seconds=float(row.idle),
        read_at=row.now,
        cloud=_cloud(connection, job.owner),
        away=breakers.away(connection),
        waiting_hints=len(given) - len(hints.seen(given)),
        new_checks=check_edits.waiting(connection, job.id),
    )


def _cloud(connection: Connection, owner: str) -> bool:
    """Whether a worker serves the cloud, and the limits of today leave the owner something for it."""
    return fleet.served(connection, Lane.CLOUD) and budgets.cloud_is_open(connection, owner)


def _spend(row: Row[Any]) -> Spend:
    return Spend(
        usd=Decimal(row.spent_usd),
        local_tokens=row.local_tokens,
        cloud_tokens=row.cloud_tokens,
        engine_seconds=row.engine_seconds,
    )


def _ended(row: Row[Any]) -> Stop | None:
    if not JobState(row.state).final:
        return None
    return Stop(
        code=StopCode(row.stop_code),
        used=row.stop_used,
        limit=row.stop_limit,
        needed=row.stop_needed,
        detail=row.stop_detail,
        acceptance=Acceptance(row.acceptance) if row.acceptance else None,
        value=row.stop_value,
        ended_by=StopCode(row.stop_ended_by) if row.stop_ended_by else None,
    )


def _hints(connection: Connection, job: int, rounds: Sequence[Row[Any]], given: Sequence[Hint]) -> tuple[Hint, ...]:
    """What stronger models advised, and what people have `given`, in the order of the iterations that saw it first."""
    return tuple(sorted((*_cloud_hints(connection, job, rounds), *given), key=lambda hint: hint.iteration or 0))


def _cloud_hints(connection: Connection, job: int, rounds: Sequence[Row[Any]]) -> tuple[Hint, ...]:
    """What stronger models advised, the first first; of a fork's hints nobody knows whose they are."""
    advised = [row for row in rounds if row.hint]
    if not advised:
        return ()
    query = text("SELECT iteration, model FROM escalations WHERE job_id = :job")
    models = {row.iteration: row.model for row in connection.execute(query, {"job": job})}
    return tuple(
        Hint(
            source=HintSource.CLOUD,
            text=row.hint,
            by=models.get(row.number, ""),
            at=row.finished_at,
            iteration=row.number + 1,
        )
        for row in advised
    )


def _candidates(connection: Connection, job: int) -> tuple[set[CandidateRef], Mapping[int, list[Candidate]]]:
    by_candidate: dict[tuple[int, int], list[Verdict]] = defaultdict(list)
    ordered = select(verdicts).where(verdicts.c.job_id == job).order_by(verdicts.c.iteration, verdicts.c.ordinal)
    for v in connection.execute(ordered):
        by_candidate[v.iteration, v.slot].append(
            Verdict(
                check=v.check_name,
                kind=v.kind,
                passed=v.passed,
                score=v.score,
                held_out=v.held_out,
                feedback=v.feedback,
                seconds=v.seconds,
                isolation=v.isolation,
                value=v.value,
                metrics=v.metrics,
            )
        )
    checked: set[CandidateRef] = set()
    by_iteration: dict[int, list[Candidate]] = defaultdict(list)
    for row in connection.execute(
        select(candidates).where(candidates.c.job_id == job).order_by(candidates.c.iteration, candidates.c.slot)
    ):
        by_iteration[row.iteration].append(codec.candidate_from_row(row, tuple(by_candidate[row.iteration, row.slot])))
        if row.checked:
            checked.add(CandidateRef(iteration=row.iteration, slot=row.slot))
    return checked, by_iteration


def _open(
    rounds: Sequence[Row[Any]], by_iteration: Mapping[int, list[Candidate]], checked: set[CandidateRef]
) -> OpenIteration | None:
    if not rounds or rounds[-1].finished_at is not None:
        return None
    number = rounds[-1].number
    return OpenIteration(
        number=number,
        move=codec.move_from_json(rounds[-1].move),
        candidates=tuple(by_iteration.get(number, ())),
        checked=frozenset(ref.slot for ref in checked if ref.iteration == number),
        inputs=None if rounds[-1].inputs is None else tuple(rounds[-1].inputs),
    )
