"""What people read of jobs. Row-level security decides what each may see. Writes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, text

from tasks.errors import NoSuchJob
from tasks.store import hints
from tasks.store.measured import MEASURED
from tasks.store.session import Database, explained
from tasks.store.summaries import (
    BatchSummary,
    CallOmission,
    EditRow,
    EgressRow,
    IterationRow,
    JobSummary,
    JudgedBy,
    LeftOut,
    LostWork,
    SetAsideCall,
    VerdictRow,
)
from tasks.store.workerrows import WORKER_SILENCE_SECONDS
from tasks.types import Acceptance, BatchBudget, Budget, Egress, JobState, Lane, Spend, StopCode

_SUMMARY = f"""
SELECT j.id, j.title, j.state, j.reason, j.acceptance, j.strategy, j.iterations, j.score, j.value,
       {MEASURED} AS measured, j.answer_iteration, j.owner, j.tags, j.spent_usd,
       j.local_tokens, j.cloud_tokens, j.engine_seconds, j.lane, j.egress, j.priority, j.key,
       j.budget_usd, j.budget_hours, j.budget_iterations, j.budget_tokens, j.budget_completion_tokens,
       j.budget_local_tokens, j.budget_cloud_tokens, j.budget_gpu_seconds, j.budget_evaluations, l.waits_for,
       j.submitted_at, j.started_at, j.finished_at, j.cancel_requested_at IS NOT NULL AS cancel_requested,
       j.pause_requested_at IS NOT NULL AS pause_requested, l.worker, l.phase, l.live_tokens,
       j.idle_seconds + CASE WHEN j.started_at IS NULL THEN 0 ELSE coalesce(extract(epoch FROM
           coalesce(j.finished_at, clock_timestamp()) - j.paused_at), 0) END
       + coalesce(extract(epoch FROM least(clock_timestamp(), l.run_at) - l.idle_since), 0) AS idle_seconds,
       coalesce((SELECT i.operator FROM iterations i WHERE i.job_id = j.id AND i.finished_at IS NULL
                 ORDER BY i.number DESC LIMIT 1), '') AS operator,
       j.moved_up, j.stop_code, j.stop_used, j.stop_limit, j.stop_needed, j.stop_ended_by,
       clock_timestamp() AS now, redraft_lost_work(j.id) AS lost_work, {{answer}} AS answer,
       ARRAY(SELECT DISTINCT v.check_name FROM verdicts v WHERE v.job_id = j.id AND v.isolation = 'shared'
             ORDER BY 1) AS shared_checks, j.cut, l.context_above,
       (SELECT jsonb_agg(to_jsonb(b) ORDER BY b.block) FROM (
           SELECT o ->> 'block' AS block, count(DISTINCT c.id) AS calls, max((o ->> 'left_out')::bigint) AS left_out,
                  (array_agg((o ->> 'chars')::bigint ORDER BY (o ->> 'left_out')::bigint DESC))[1] AS chars
           FROM calls c CROSS JOIN jsonb_array_elements(c.omissions) o
           WHERE c.job_id = j.id AND c.omissions <> '[]'::jsonb GROUP BY 1) b) AS left_out,
       q.text AS question, q.answer_until, j.batch_id, j.model,
       j.model <> '' AND l.lane IN ('gpu', 'fast') AND NOT EXISTS (
            SELECT 1 FROM workers w WHERE j.model = ANY(w.models) AND l.lane = ANY(w.lanes)
            AND w.seen_at > clock_timestamp() - make_interval(secs => {WORKER_SILENCE_SECONDS})) AS unserved,
       CASE WHEN j.acceptance = 'judged' THEN (
            SELECT jsonb_build_object('model', c.model, 'votes', count(DISTINCT c.vote)) FROM calls c
            WHERE c.job_id = j.id AND c.iteration = j.answer_iteration AND c.slot = j.answer_slot
            AND c.operator = 'judge' AND c.step = 'verdict' AND upper(btrim(c.text, '`*. ' || chr(10))) = 'PASS'
            GROUP BY c.model, c.check_name
            ORDER BY count(DISTINCT c.vote) DESC, c.model LIMIT 1) END AS judged_by
FROM jobs j JOIN leases l ON l.job_id = j.id LEFT JOIN questions q ON q.job_id = j.id AND q.closed_at IS NULL
"""  # noqa: S608 - its one part is the constant above


def list_jobs(
    database: Database,
    *,
    states: Sequence[JobState] = (),
    tags: Sequence[str] = (),
    owner: str | None = None,
    batch: int | None = None,
    jobs: Sequence[int] | None = None,
    limit: int | None = None,
    before: int | None = None,
    oldest_first: bool = False,
) -> tuple[JobSummary, ...]:
    """Jobs that have one of `states`, every tag, this owner and batch, without their answers; the newest first, or the
    oldest.

    At most `limit` of them, with numbers below `before`: the last number of a page begins the next one.
    """
    where = "WHERE (:any_state OR j.state = ANY(:states)) AND j.tags @> CAST(:tags AS text[])"
    where += " AND (CAST(:owner AS text) IS NULL OR j.owner = :owner)"
    where += " AND (CAST(:batch AS bigint) IS NULL OR j.batch_id = :batch)"
    where += " AND (CAST(:jobs AS bigint[]) IS NULL OR j.id = ANY(:jobs))"
    where += " AND (CAST(:before AS bigint) IS NULL OR j.id < :before)"
    query = _SUMMARY.format(answer="NULL") + where + f" ORDER BY j.id {'ASC' if oldest_first else 'DESC'} LIMIT :limit"
    values = {
        "any_state": not states,
        "states": [str(state) for state in states],
        "tags": list(tags),
        "owner": owner,
        "batch": batch,
        "jobs": None if jobs is None else list(jobs),
        "limit": limit,
        "before": before,
    }
    with database.connect() as connection, explained():
        return tuple(_summary(row) for row in connection.execute(text(query), values))


def job_summary(database: Database, job: int) -> JobSummary:
    """One job with its best answer so far. Raises `NoSuchJob`, `DatabaseUnavailable`."""
    query = text(_SUMMARY.format(answer="j.answer") + "WHERE j.id = :job")
    with database.connect() as connection, explained():
        row = connection.execute(query, {"job": job}).one_or_none()
    if row is None:
        raise NoSuchJob(job)
    return _summary(row)


def batch_summary(database: Database, batch: int) -> BatchSummary | None:
    """One of the login's own batches, None where there is none of that number. Raises `DatabaseUnavailable`."""
    query = text("SELECT * FROM batch_summary WHERE batch = :batch")
    with database.connect() as connection, explained():
        row = connection.execute(query, {"batch": batch}).one_or_none()
    if row is None:
        return None
    return BatchSummary(
        batch=row.batch,
        owner=row.owner,
        jobs=row.jobs,
        ended=row.ended,
        accepted=row.accepted,
        iterations=row.iterations,
        tokens=row.tokens,
        usd=Decimal(row.usd),
        hours=row.hours or 0.0,
        budget=BatchBudget(tokens=row.budget_tokens, usd=row.budget_usd, hours=row.budget_hours),
    )


def job_history(database: Database, job: int) -> tuple[IterationRow, ...]:
    """A job's recorded iterations, the first first. Raises `NoSuchJob`, `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        known = _known(connection, job)
        verdicts: dict[tuple[int, int], list[VerdictRow]] = {}
        query = text("SELECT * FROM verdict_history WHERE job = :job ORDER BY iteration, slot, ordinal")
        for v in connection.execute(query, {"job": job}):
            verdicts.setdefault((v.iteration, v.slot), []).append(
                VerdictRow(
                    check=v.check_name,
                    passed=v.passed,
                    held_out=v.held_out,
                    score=v.score,
                    feedback=v.feedback,
                    isolation=v.isolation,
                    value=v.value,
                    metrics=v.metrics,
                )
            )
        omissions, set_aside = _omissions(connection, job), _set_aside(connection, job)
        repeated, given = _repeated(connection, job), hints.read(connection, job)
        query = text("SELECT iteration, text FROM questions WHERE job_id = :job")
        asked = {row.iteration: row.text for row in connection.execute(query, {"job": job})}
        query = text("SELECT * FROM iteration_history WHERE job = :job ORDER BY iteration")
        return tuple(
            IterationRow(
                iteration=row.iteration,
                operator=row.operator,
                model=row.model,
                candidate=row.candidate,
                score=row.score,
                value=row.value,
                measured=known.measured,
                improved=row.improved,
                guard=row.guard,
                let_through=row.let_through,
                behaviour=row.behaviour,
                inputs=tuple(row.inputs or ()),
                hint=row.hint,
                repeated_tokens=repeated.get(row.iteration, 0),
                verdicts=tuple(verdicts.get((row.iteration, row.slot), ())),
                prompt_tokens=row.prompt_tokens,
                cached_tokens=row.cached_tokens,
                completion_tokens=row.completion_tokens,
                usd=row.usd,
                seconds=row.seconds,
                worker=row.worker,
                epoch=row.epoch,
                decision=row.decision,
                stop_code=StopCode(row.stop_code) if row.stop_code else None,
                omissions=tuple(omissions.get(row.iteration, ())),
                set_aside=tuple(set_aside.get(row.iteration, ())),
                question=asked.get(row.iteration, ""),
                hints=tuple(hint for hint in given if hint.iteration == row.iteration),
            )
            for row in connection.execute(query, {"job": job})
        )


def _omissions(connection: Connection, job: int) -> dict[int, list[CallOmission]]:
    """What the calls of each iteration left out of their prompts, in the order of the calls."""
    omissions: dict[int, list[CallOmission]] = {}
    query = text("""SELECT iteration, operator, slot, attempt, step, check_name, vote, omissions FROM call_history
                    WHERE job = :job AND omissions <> '[]' ORDER BY call""")
    for row in connection.execute(query, {"job": job}):
        call = {"operator": row.operator, "slot": row.slot, "attempt": row.attempt, "step": row.step}
        omissions.setdefault(row.iteration, []).extend(
            CallOmission(**call, check=row.check_name, vote=row.vote, **block) for block in row.omissions
        )
    return omissions


def _repeated(connection: Connection, job: int) -> dict[int, int]:
    """Tokens of completions in slots whose candidate is a rejected one again, by iteration."""
    query = text("""SELECT c.iteration, sum(c.completion_tokens)::bigint AS tokens
                    FROM calls c JOIN candidates k USING (job_id, iteration, slot)
                    WHERE c.job_id = :job AND k.repeats_slot IS NOT NULL GROUP BY 1""")
    return {row.iteration: row.tokens for row in connection.execute(query, {"job": job})}


def _set_aside(connection: Connection, job: int) -> dict[int, list[SetAsideCall]]:
    """The calls of each iteration that were set aside, in their order."""
    found: dict[int, list[SetAsideCall]] = {}
    query = text("""SELECT iteration, operator, slot, attempt, step, check_name AS check, vote, model, prompt_tokens,
                        completion_tokens
                    FROM call_history WHERE job = :job AND set_aside ORDER BY call""")
    for row in connection.execute(query, {"job": job}).mappings():
        call = {name: value for name, value in row.items() if name != "iteration"}
        found.setdefault(row["iteration"], []).append(SetAsideCall(**call))
    return found


def problem_digests(database: Database, numbers: Sequence[int]) -> dict[int, str]:
    """A digest of what each job asks for: its problem, checks, files and attachments. Equal ones are the same problem.
    Raises `DatabaseUnavailable`."""
    query = text("""SELECT id, md5(concat_ws(chr(10), problem, checks::text, files::text, attachments::text)) AS digest
                    FROM jobs WHERE id = ANY(:jobs)""")
    with database.connect() as connection, explained():
        return {row.id: row.digest for row in connection.execute(query, {"jobs": list(numbers)})}


def edits_of(database: Database, job: int) -> tuple[EditRow, ...]:
    """What was changed of a job, the first first; nothing of a job that is not the login's. Raises
    `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        rows = connection.execute(text("SELECT * FROM edits WHERE job_id = :job ORDER BY id"), {"job": job})
        return tuple(
            EditRow(
                by=row.given_by,
                at=row.created_at,
                before=row.before,
                after=row.after,
                iterations=row.iterations,
                waits=row.waits,
                iteration=row.iteration,
            )
            for row in rows
        )


def job_egress(database: Database, job: int) -> tuple[EgressRow, ...]:
    """What left for the cloud, the first first; nothing has left of what was refused or unsent. Raises `NoSuchJob`,
    `DatabaseUnavailable`."""
    query = text("""SELECT * FROM escalation_history WHERE job = :job AND state NOT IN ('refused', 'unsent')
                    ORDER BY escalation""")
    with database.connect() as connection, explained():
        known = _known(connection, job)
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
                request_sha256=row.request_sha256,
                redactions={one["kind"]: one["count"] for one in row.redactions},
                created_at=row.created_at,
                finished_at=row.finished_at,
                score_before=row.score_before,
                value_before=row.value_before,
                score_after=row.score_after,
                value_after=row.value_after,
                measured=known.measured,
                accepted=row.accepted,
            )
            for row in connection.execute(query, {"job": job})
        )


def _known(connection: Connection, job: int) -> Row[Any]:
    """Whether the job has a score (`measured`). Raises `NoSuchJob`."""
    found = connection.execute(text(f"SELECT {MEASURED} AS measured FROM jobs j WHERE j.id = :job"), {"job": job})  # noqa: S608 - a constant
    row = found.one_or_none()
    if row is None:
        raise NoSuchJob(job)
    return row


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
        value=row.value,
        measured=row.measured,
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
            completion_tokens=row.budget_completion_tokens,
            local_tokens=row.budget_local_tokens,
            cloud_tokens=row.budget_cloud_tokens,
            gpu_seconds=row.budget_gpu_seconds,
            evaluations=row.budget_evaluations,
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
        waits_for=row.waits_for if row.worker is None and row.state in ("queued", "running") else "",
        worker=row.worker,
        phase=row.phase,
        live_tokens=row.live_tokens,
        operator=row.operator,
        now=row.now,
        moved_up=row.moved_up,
        stop_code=StopCode(row.stop_code) if row.stop_code else None,
        stop_used=row.stop_used,
        stop_limit=row.stop_limit,
        stop_needed=row.stop_needed,
        stop_ended_by=StopCode(row.stop_ended_by) if row.stop_ended_by else None,
        lost_work=LostWork(**row.lost_work),
        shared_checks=tuple(row.shared_checks),
        cut=row.cut,
        left_out=tuple(LeftOut(**block) for block in row.left_out or ()),
        context_above=row.context_above,
        batch=row.batch_id,
        question=row.question,
        answer_until=row.answer_until,
        model=row.model,
        judged_by=JudgedBy(**row.judged_by) if row.judged_by else None,
        model_awaited=row.unserved and row.state in ("queued", "running") and row.worker is None,
    )
