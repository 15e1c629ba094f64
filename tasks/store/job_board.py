"""What the live page reads of one job: pieces of bounded size, by key. Row-level security decides whose. Writes
nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from tasks.errors import NoSuchJob
from tasks.store.board import IN_FLIGHT_SECONDS
from tasks.store.board_rows import (
    CallLine,
    CallText,
    CandidateLine,
    CandidateText,
    CurvePoint,
    InFlight,
    IterationDetail,
    IterationLine,
    Message,
    VerdictLine,
)
from tasks.store.measured import MEASURED
from tasks.store.session import Database, explained
from tasks.store.summaries import EventRow
from tasks.types import CandidateRef

# Points of a curve: of a longer job the last ones.
MOST_POINTS = 5_000
# Of a call in a list; its own page has all of it.
SAID_CHARS = 6_000
# Calls of one iteration: eight slots with their attempts, reviews and votes.
MOST_CALLS = 400

# Of the job that is asked for.
_MEASURED = f"(SELECT {MEASURED} FROM jobs j WHERE j.id = :job) AS measured"  # noqa: S608 - a constant

_CURVE = text("""
SELECT * FROM (
    SELECT i.number, i.score, k.value, i.improved, i.operator FROM iterations i
    LEFT JOIN candidates k ON k.job_id = i.job_id AND k.iteration = i.number AND k.slot = i.best_slot
    WHERE i.job_id = :job AND i.finished_at IS NOT NULL ORDER BY i.number DESC LIMIT :most
) newest ORDER BY number
""")

_ITERATIONS = f"""
SELECT i.number, i.operator, i.move -> 'parents' AS parents, i.decision, i.score, k.value, i.best_slot, i.improved,
       i.worker, i.started_at, i.finished_at, i.inputs, i.hint, {_MEASURED}, c.*
FROM iterations i
LEFT JOIN candidates k ON k.job_id = i.job_id AND k.iteration = i.number AND k.slot = i.best_slot
LEFT JOIN LATERAL (
    SELECT coalesce(sum(x.prompt_tokens), 0)::bigint AS prompt_tokens,
           coalesce(sum(x.cached_tokens), 0)::bigint AS cached_tokens,
           coalesce(sum(x.completion_tokens), 0)::bigint AS completion_tokens, coalesce(sum(x.usd), 0) AS usd
    FROM calls x WHERE x.job_id = i.job_id AND x.iteration = i.number) c ON true
WHERE i.job_id = :job
"""  # noqa: S608 - its one part is a constant
_NEWEST = text(
    _ITERATIONS + "AND (CAST(:before AS int) IS NULL OR i.number < :before) ORDER BY i.number DESC LIMIT :limit"
)
_ONE = text(_ITERATIONS + "AND i.number = :iteration")

_CANDIDATES = """
SELECT k.iteration, k.slot, k.operator, k.root_iteration, k.root_slot, k.revision, k.parent_iteration, k.parent_slot,
       k.guard, k.let_through, k.score, k.value, k.accepted, k.checked, k.repeats_iteration, k.repeats_slot,
       k.objection, coalesce(v.passed, 0) AS passed, coalesce(v.checks, 0) AS checks, {measured}{texts}
FROM candidates k
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE x.passed) AS passed, count(*) AS checks FROM verdicts x
    WHERE x.job_id = k.job_id AND x.iteration = k.iteration AND x.slot = k.slot) v ON true
WHERE k.job_id = :job AND k.iteration BETWEEN :first AND :last {which} ORDER BY k.iteration, k.slot
"""
# Of the many variants those alone of which something was made, and those that were the best of their iteration.
_NOTABLE = """AND (k.operator <> 'vary' OR (k.iteration, k.slot) IN (
    SELECT parent_iteration, parent_slot FROM candidates WHERE job_id = :job
    UNION ALL SELECT number, best_slot FROM iterations WHERE job_id = :job))"""
_BETWEEN = text(_CANDIDATES.format(measured=_MEASURED, texts="", which=_NOTABLE))
_WITH_TEXTS = text(
    _CANDIDATES.format(
        measured=_MEASURED,
        which="",
        texts=""", k.text, (SELECT p.text FROM candidates p WHERE p.job_id = k.job_id
                            AND p.iteration = k.parent_iteration AND p.slot = k.parent_slot) AS parent_text""",
    )
)

# From the candidate back to its draft, by each one's parent.
_ANCESTRY = text(f"""
WITH RECURSIVE line AS (
    SELECT k.*, 0 AS depth FROM candidates k WHERE k.job_id = :job AND k.iteration = :iteration AND k.slot = :slot
    UNION ALL
    SELECT p.*, line.depth + 1 FROM line JOIN candidates p ON p.job_id = line.job_id
        AND p.iteration = line.parent_iteration AND p.slot = line.parent_slot WHERE line.depth < :most
)
SELECT k.iteration, k.slot, k.operator, k.root_iteration, k.root_slot, k.revision, k.parent_iteration, k.parent_slot,
       k.guard, k.let_through, k.score, k.value, k.accepted, k.checked, k.repeats_iteration, k.repeats_slot,
       k.objection, 0 AS passed, 0 AS checks, {_MEASURED}
FROM line k ORDER BY depth DESC
""")  # noqa: S608 - its one part is a constant

_VERDICTS = text("""
SELECT iteration, slot, check_name, kind, passed, held_out, score, value, feedback, seconds, isolation FROM verdicts
WHERE job_id = :job AND iteration = :iteration ORDER BY slot, ordinal
""")

_VERDICTS_AFTER = text("""
SELECT iteration, slot, check_name, kind, passed, held_out, score, value, feedback, seconds, isolation FROM verdicts
WHERE job_id = :job AND iteration > :after ORDER BY iteration, created_at, slot, ordinal LIMIT :most
""")

_CALL = """
SELECT id, iteration, operator, slot, attempt, step, check_name, vote, model, finish_reason, guard, prompt_tokens,
       cached_tokens, completion_tokens, usd, seconds, set_aside, left(text, :said) AS said, length(text) AS chars,
       length(reasoning) AS thought_chars, created_at{texts}
FROM calls WHERE job_id = :job
"""
_CALLS = text(_CALL.format(texts="") + "AND iteration = :iteration ORDER BY id LIMIT :most")
_CALL_TEXT = text(_CALL.format(texts=", request, text, reasoning") + "AND id = :call")

_EVENTS = text("""
SELECT id, job_id, at, kind, detail FROM events
WHERE job_id = :job AND (CAST(:before AS bigint) IS NULL OR id < :before) ORDER BY id DESC LIMIT :limit
""")

_IN_FLIGHT = text(f"""
SELECT iteration, operator, slot, attempt, step, check_name, vote, received_tokens,
       extract(epoch FROM clock_timestamp() - begun_at)::float AS seconds
FROM reservations WHERE job_id = :job AND seen_at > now() - make_interval(secs => {IN_FLIGHT_SECONDS})
ORDER BY iteration, slot, operator, step, check_name, vote
""")  # noqa: S608 - its one part is a constant

_VERSION = text("""
SELECT concat_ws('/', j.state, j.iterations, j.spent_usd, j.local_tokens, j.cancel_requested_at, j.pause_requested_at,
       j.finished_at, l.epoch, l.worker, l.phase, l.live_tokens, l.run_at,
       (SELECT max(e.id) FROM events e WHERE e.job_id = j.id),
       (SELECT concat_ws('.', count(*), sum(r.received_tokens)) FROM reservations r WHERE r.job_id = j.id))
FROM jobs j JOIN leases l ON l.job_id = j.id WHERE j.id = :job
""")


def curve(database: Database, job: int) -> tuple[CurvePoint, ...]:
    """The best candidate of each recorded iteration, the first first. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        return tuple(
            CurvePoint(
                iteration=row.number, score=row.score, value=row.value, improved=row.improved, operator=row.operator
            )
            for row in connection.execute(_CURVE, {"job": job, "most": MOST_POINTS})
        )


def iterations(database: Database, job: int, *, before: int | None, limit: int) -> tuple[IterationLine, ...]:
    """The newest iterations with numbers below `before`, the newest first. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        rows = connection.execute(_NEWEST, {"job": job, "before": before, "limit": limit})
        return tuple(map(_iteration, rows))


def candidates(database: Database, job: int, first: int, last: int) -> tuple[CandidateLine, ...]:
    """The candidates of iterations `first` to `last`, in order, without the variants that led to nothing. Raises
    `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        rows = connection.execute(_BETWEEN, {"job": job, "first": first, "last": last})
        return tuple(map(_candidate, rows))


def ancestry(database: Database, job: int, ref: CandidateRef, *, most: int = 200) -> tuple[CandidateLine, ...]:
    """The candidates that one descends from, its draft first, itself last. Raises `DatabaseUnavailable`."""
    values = {"job": job, "iteration": ref.iteration, "slot": ref.slot, "most": most}
    with database.connect() as connection, explained():
        return tuple(map(_candidate, connection.execute(_ANCESTRY, values)))


def iteration(database: Database, job: int, number: int) -> IterationDetail:
    """One iteration, recorded or open. Raises `NoSuchJob` where there is none, `DatabaseUnavailable`."""
    one = {"job": job, "iteration": number}
    with database.connect() as connection, explained():
        row = connection.execute(_ONE, one).one_or_none()
        if row is None:
            raise NoSuchJob(job)
        rows = connection.execute(_WITH_TEXTS, {"job": job, "first": number, "last": number})
        texts = tuple(CandidateText(line=_candidate(r), text=r.text, parent_text=r.parent_text) for r in rows)
        return IterationDetail(
            line=_iteration(row),
            candidates=texts,
            verdicts=tuple(map(_verdict, connection.execute(_VERDICTS, one))),
            calls=_calls(connection, one),
            inputs=tuple(row.inputs or ()),
        )


def verdicts(database: Database, job: int, after: int) -> tuple[VerdictLine, ...]:
    """Those on candidates of iterations above `after`, the first first. Raises `DatabaseUnavailable`."""
    values = {"job": job, "after": after, "most": MOST_POINTS}
    with database.connect() as connection, explained():
        return tuple(map(_verdict, connection.execute(_VERDICTS_AFTER, values)))


def call_text(database: Database, job: int, call: int) -> CallText:
    """One call word for word. Raises `NoSuchJob` where the job has none of that number, `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        row = connection.execute(_CALL_TEXT, {"job": job, "call": call, "said": 0}).one_or_none()
    if row is None:
        raise NoSuchJob(job)
    request: Mapping[str, Any] = row.request if isinstance(row.request, dict) else {}
    settings = {name: value for name, value in request.items() if name != "messages"}
    return CallText(
        line=_call(row),
        messages=tuple(map(_message, request.get("messages", ()))),
        text=row.text,
        thoughts=row.reasoning,
        settings=json.dumps(settings, sort_keys=True, ensure_ascii=False),
    )


def newest_events(database: Database, job: int, *, before: int | None, limit: int) -> tuple[EventRow, ...]:
    """The newest events with numbers below `before`, the newest first. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        return tuple(
            EventRow(number=row.id, job=row.job_id, at=row.at, kind=row.kind, detail=row.detail)
            for row in connection.execute(_EVENTS, {"job": job, "before": before, "limit": limit})
        )


def in_flight(database: Database, job: int) -> tuple[InFlight, ...]:
    """The requests that a worker waits for now, by their keys. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        return tuple(
            InFlight(
                iteration=row.iteration,
                operator=row.operator,
                slot=row.slot,
                attempt=row.attempt,
                step=row.step,
                check=row.check_name,
                vote=row.vote,
                tokens=row.received_tokens,
                seconds=row.seconds,
            )
            for row in connection.execute(_IN_FLIGHT, {"job": job})
        )


def job_version(database: Database, job: int) -> str:
    """Another text whenever something that a job's page shows has changed; empty where there is no such job. Raises
    `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        return str(connection.execute(_VERSION, {"job": job}).scalar_one_or_none() or "")


def _calls(connection: Connection, one: Mapping[str, int]) -> tuple[CallLine, ...]:
    rows = connection.execute(_CALLS, {**one, "said": SAID_CHARS, "most": MOST_CALLS})
    return tuple(map(_call, rows))


def _ref(iteration: int | None, slot: int | None) -> CandidateRef | None:
    return None if iteration is None or slot is None else CandidateRef(iteration=iteration, slot=slot)


def _refs(stored: Sequence[Sequence[int]] | None) -> tuple[CandidateRef, ...]:
    return tuple(CandidateRef(iteration=iteration, slot=slot) for iteration, slot in stored or ())


def _iteration(row: Row[Any]) -> IterationLine:
    return IterationLine(
        iteration=row.number,
        operator=row.operator,
        parents=_refs(row.parents),
        decision=row.decision,
        score=row.score,
        value=row.value,
        measured=row.measured,
        best_slot=row.best_slot,
        improved=row.improved,
        worker=row.worker,
        started_at=row.started_at,
        finished_at=row.finished_at,
        prompt_tokens=row.prompt_tokens,
        cached_tokens=row.cached_tokens,
        completion_tokens=row.completion_tokens,
        usd=row.usd,
        hint=row.hint,
    )


def _candidate(row: Row[Any]) -> CandidateLine:
    return CandidateLine(
        ref=CandidateRef(iteration=row.iteration, slot=row.slot),
        operator=row.operator,
        root=CandidateRef(iteration=row.root_iteration, slot=row.root_slot),
        revision=row.revision,
        parent=_ref(row.parent_iteration, row.parent_slot),
        guard=row.guard,
        let_through=row.let_through,
        score=row.score,
        value=row.value,
        measured=row.measured,
        accepted=row.accepted,
        checked=row.checked,
        repeats=_ref(row.repeats_iteration, row.repeats_slot),
        objection=row.objection,
        passed=row.passed,
        checks=row.checks,
    )


def _verdict(row: Row[Any]) -> VerdictLine:
    return VerdictLine(
        ref=CandidateRef(iteration=row.iteration, slot=row.slot),
        check=row.check_name,
        kind=row.kind,
        passed=row.passed,
        held_out=row.held_out,
        score=row.score,
        value=row.value,
        feedback=row.feedback,
        seconds=row.seconds,
        isolation=row.isolation,
    )


def _call(row: Row[Any]) -> CallLine:
    return CallLine(
        call=row.id,
        iteration=row.iteration,
        operator=row.operator,
        slot=row.slot,
        attempt=row.attempt,
        step=row.step,
        check=row.check_name,
        vote=row.vote,
        model=row.model,
        finish_reason=row.finish_reason,
        guard=json.dumps(row.guard, sort_keys=True, ensure_ascii=False) if row.guard else "",
        prompt_tokens=row.prompt_tokens,
        cached_tokens=row.cached_tokens,
        completion_tokens=row.completion_tokens,
        usd=row.usd,
        seconds=row.seconds,
        set_aside=row.set_aside > 0,
        said=row.said,
        chars=row.chars,
        thought_chars=row.thought_chars,
        created_at=row.created_at,
    )


def _message(stored: Any) -> Message:
    """A message of a stored request: its content is text, or a list of parts."""
    fields: Mapping[str, Any] = stored if isinstance(stored, dict) else {}
    content = fields.get("content", "")
    if not isinstance(content, str):
        content = json.dumps(content, ensure_ascii=False, indent=1)
    return Message(role=str(fields.get("role", "")), content=content)
