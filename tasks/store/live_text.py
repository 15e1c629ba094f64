"""The text that calls are writing now, from the worker that receives it to whoever watches the job: a small unlogged
table, under row-level security like all of a job. It is no state of the job: nothing rests on it.

A worker writes only of jobs that somebody watches, who says so by NOTIFY. Any login may send one; all it brings about
is that the job's own owner could read for some seconds what is being written."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import psycopg
import structlog
from sqlalchemy import text

from tasks.store import codec
from tasks.store.board_rows import LiveText
from tasks.store.heartbeats import CallHeartbeat, LeaseHeartbeat
from tasks.store.session import Database, explained
from tasks.taskrecords import NO_RECORD, TaskRecord
from tasks.types import CallKey, Claim

log = structlog.get_logger()

CHANNEL = "redraft_watch"
# How often the text of a watched job is written: a person reads no faster.
WRITE_SECONDS = 0.4
# For how long a job is watched after somebody said so, and how often they say it again.
WATCHED_SECONDS, WATCH_SECONDS = 15.0, 5.0
# Jobs that a worker takes for watched at once; the others of a flood of notices are not.
MOST_WATCHED = 64
# Rows of a worker that died are nobody's to take away.
STALE_SECONDS = 20
RETRY_SECONDS = 2.0

_WRITE = """
INSERT INTO live_text AS t (job_id, epoch, iteration, operator, slot, step, check_name, vote, attempt, text, thoughts,
                            chars, thought_chars, tokens, seen_at)
SELECT v.*, clock_timestamp()
FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::text[], %s::int[], %s::text[], %s::text[], %s::int[],
            %s::int[], %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[])
     AS v(job, epoch, iteration, operator, slot, step, check_name, vote, attempt, text, thoughts, chars, thought_chars,
          tokens)
JOIN leases l ON l.job_id = v.job AND l.epoch = v.epoch AND l.worker IS NOT NULL
ON CONFLICT (job_id, epoch, iteration, operator, slot, attempt, step, check_name, vote) DO UPDATE
SET text = EXCLUDED.text, thoughts = EXCLUDED.thoughts, chars = EXCLUDED.chars, tokens = EXCLUDED.tokens,
    thought_chars = EXCLUDED.thought_chars, seen_at = EXCLUDED.seen_at
"""
_TAKE_AWAY = """
DELETE FROM live_text t
USING unnest(%s::bigint[], %s::bigint[], %s::int[], %s::text[], %s::int[], %s::text[], %s::text[], %s::int[],
             %s::int[]) AS v(job, epoch, iteration, operator, slot, step, check_name, vote, attempt)
WHERE (t.job_id, t.epoch, t.iteration, t.operator, t.slot, t.step, t.check_name, t.vote, t.attempt)
    = (v.job, v.epoch, v.iteration, v.operator, v.slot, v.step, v.check_name, v.vote, v.attempt)
"""
_SWEEP = f"DELETE FROM live_text WHERE seen_at < now() - make_interval(secs => {3 * STALE_SECONDS})"  # noqa: S608

_READ = text(f"""
SELECT iteration, operator, slot, attempt, step, check_name, vote, t.text, thoughts, chars, thought_chars, tokens
FROM live_text t JOIN leases l ON l.job_id = t.job_id AND l.epoch = t.epoch
WHERE t.job_id = :job AND seen_at > now() - make_interval(secs => {STALE_SECONDS})
ORDER BY iteration, slot, operator, step, check_name, vote, attempt
""")  # noqa: S608 - its one part is a constant
_VERSION = text("SELECT concat_ws('.', count(*), max(seen_at)) FROM live_text WHERE job_id = :job")

Row = tuple[Any, ...]


class LiveTextWriter:
    """Writes what the calls of one worker process are writing, over a connection of its own; whoever owns it runs `run`
    in a thread. Parameters: `url` of the database, `held` gives the heartbeats of the leases that are held now."""

    def __init__(self, url: str, held: Callable[[], Sequence[LeaseHeartbeat]], record: TaskRecord = NO_RECORD) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._held, self._record = held, record
        self._watched: dict[int, float] = {}
        self._written: dict[tuple[Claim, CallKey], int] = {}

    def run(self, stop: threading.Event) -> None:
        """Writes until `stop`. What Postgres raises is never a reason for the worker to end: nothing rests on this."""
        while not stop.is_set():
            try:
                with self._connect() as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._write_until(stop, connection)
            except psycopg.Error as error:
                self._record.failed()
                self._written.clear()
                log.warning("live text waits for Postgres", error=str(error).strip().split("\n")[0])
                stop.wait(RETRY_SECONDS)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self._url,
            autocommit=True,
            application_name="redraft live text",
            connect_timeout=3,
            tcp_user_timeout=5000,
            options="-c statement_timeout=4000 -c synchronous_commit=off",
        )

    def _write_until(self, stop: threading.Event, connection: psycopg.Connection[Any]) -> None:
        next_sweep = time.monotonic()
        while not stop.is_set():
            notices = connection.notifies(timeout=WRITE_SECONDS)
            self.watch(notice.payload for notice in notices)
            self._write(connection)
            self._record.succeeded()
            if time.monotonic() >= next_sweep:
                connection.execute(_SWEEP)
                next_sweep = time.monotonic() + STALE_SECONDS

    def watch(self, payloads: Iterable[str]) -> None:
        """Somebody watches these jobs, for `WATCHED_SECONDS` from now."""
        now = time.monotonic()
        for payload in payloads:
            if payload.isascii() and payload.isdecimal() and len(payload) < 19:
                self._watched[int(payload)] = now + WATCHED_SECONDS
        held = {heartbeat.claim.job for heartbeat in self._held()}
        kept = [(job, until) for job, until in self._watched.items() if until > now and job in held]
        self._watched = dict(kept[-MOST_WATCHED:])

    def _write(self, connection: psycopg.Connection[Any]) -> None:
        """What has changed since it was written, and away with the rows of calls that have ended."""
        calls = {
            (heartbeat.claim, key): call
            for heartbeat in self._held()
            if heartbeat.claim.job in self._watched
            for key, call in heartbeat.texts().items()
        }
        changed = {ref: call for ref, call in calls.items() if self._written.get(ref) != _mark(call)}
        ended = [ref for ref in self._written if ref not in calls]
        if changed:
            marks = {ref: _mark(call) for ref, call in changed.items()}
            connection.execute(_WRITE, _columns(_row(ref, call) for ref, call in changed.items()))
            self._written |= marks
        if ended:
            connection.execute(_TAKE_AWAY, _columns(_key(ref) for ref in ended))
            for ref in ended:
                del self._written[ref]


def watch_text(database: Database, job: int) -> None:
    """Asks the worker that holds a job to write what its calls are writing. Raises `DatabaseUnavailable`."""
    with database.begin() as connection, explained():
        connection.execute(text(f"SELECT pg_notify('{CHANNEL}', :job)"), {"job": str(job)})


def live_text(database: Database, job: int) -> tuple[LiveText, ...]:
    """What the calls of a watched job have written so far, by their keys. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        return tuple(
            LiveText(
                iteration=row.iteration,
                operator=row.operator,
                slot=row.slot,
                attempt=row.attempt,
                step=row.step,
                check=row.check_name,
                vote=row.vote,
                text=row.text,
                thoughts=row.thoughts,
                chars=row.chars,
                thought_chars=row.thought_chars,
                tokens=row.tokens,
            )
            for row in connection.execute(_READ, {"job": job})
        )


def text_version(database: Database, job: int) -> str:
    """Another text whenever a watched job's calls have written more. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        return str(connection.execute(_VERSION, {"job": job}).scalar_one())


def _mark(call: CallHeartbeat) -> int:
    return call.text.chars + call.thoughts.chars


def _key(ref: tuple[Claim, CallKey]) -> Row:
    claim, key = ref
    return (claim.job, claim.epoch, *codec.key_to_row(key).values())


def _row(ref: tuple[Claim, CallKey], call: CallHeartbeat) -> Row:
    written, thoughts = _sound(call.text.read()), _sound(call.thoughts.read())
    return (*_key(ref), written, thoughts, call.text.chars, call.thoughts.chars, call.tokens)


def _columns(rows: Iterable[Row]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _sound(written: str) -> str:
    """As Postgres can hold it: without NUL and halves of characters."""
    return written.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
