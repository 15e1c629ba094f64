"""Jobs as a list shows them, one short row each, over one plain connection: for the quick commands, which have no time
to import SQLAlchemy, and for views that look again every second.

Reads what is shown and no more: a page of jobs, the sums over what is followed, and the counters of jobs at work.
Row-level security decides what each login sees. Writes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

import psycopg
from psycopg.rows import namedtuple_row

from tasks.kinds import Acceptance, JobState, Lane
from tasks.store.address import parameters
from tasks.store.faults import explain, unreachable
from tasks.store.hookrows import HOOKS, HookRow, hook_row
from tasks.store.measured import MEASURED
from tasks.store.workerrows import WORKERS, WorkerRow, worker_row

_LINE = f"""
SELECT j.id, j.title, j.state, j.reason, j.acceptance, j.lane, j.iterations, j.score, j.value, {MEASURED} AS measured,
       j.spent_usd, j.local_tokens + j.cloud_tokens AS tokens, j.budget_usd, j.budget_hours, j.budget_iterations,
       j.budget_tokens, j.submitted_at, j.started_at, j.finished_at,
       j.cancel_requested_at IS NOT NULL AS cancel_requested,
       j.pause_requested_at IS NOT NULL AS pause_requested, j.model, l.worker, l.phase, l.context_above, l.waits_for,
       q.text AS question, q.answer_until,
       l.lane AS next_lane, extract(epoch FROM l.run_at - clock_timestamp())::float AS resting_seconds,
       (j.idle_seconds + CASE WHEN j.started_at IS NULL THEN 0 ELSE coalesce(extract(epoch FROM
           coalesce(j.finished_at, clock_timestamp()) - j.paused_at), 0) END
        + coalesce(extract(epoch FROM least(clock_timestamp(), l.run_at) - l.idle_since), 0))::float AS idle_seconds,
       coalesce((SELECT i.operator FROM iterations i WHERE i.job_id = j.id AND i.finished_at IS NULL
                 ORDER BY i.number DESC LIMIT 1), '') AS operator,
       clock_timestamp() AS now
FROM jobs j JOIN leases l ON l.job_id = j.id LEFT JOIN questions q ON q.job_id = j.id AND q.closed_at IS NULL
"""  # noqa: S608 - its one part is a constant

_WHERE = """
WHERE (%(states)s::text[] IS NULL OR j.state = ANY(%(states)s)) AND j.tags @> %(tags)s::text[]
  AND (%(owner)s::text IS NULL OR j.owner = %(owner)s)
  AND (%(batch)s::bigint IS NULL OR j.batch_id = %(batch)s)
"""

# Those at work first, then those that wait, paused ones, and the finished ones, the newest of these first.
_ORDER = """
CASE WHEN l.worker IS NOT NULL THEN 0 WHEN j.state IN ('running', 'queued') THEN 1 WHEN j.finished_at IS NULL THEN 2
     ELSE 3 END, j.finished_at DESC NULLS FIRST, j.state DESC, j.id
"""
_FOLLOWED = """
((%(jobs)s::bigint[] IS NULL AND (j.state IN ('queued', 'running', 'paused', 'needs_input')
                                  OR j.finished_at >= %(since)s))
 OR j.id = ANY(%(jobs)s))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLine:
    """One job of a list. `now` is the database's clock when it was read; `worker`, `phase` and `operator` are of the
    turn under way; `resting_seconds` are those until it may be taken again, `waits_for` why, where it is no fault;
    `idle_seconds` are those that its hours do not count, `measured` that it has a score; `next_lane` is the lane of its
    next step, `context_above` the largest context that its problem did not fit into; `question` is what it asks its
    owner, `answer_until` how long."""

    job: int
    title: str
    state: JobState
    reason: str
    acceptance: Acceptance | None
    lane: Lane
    iterations: int
    score: float | None
    value: float | None
    measured: bool
    usd: Decimal
    tokens: int
    budget_usd: Decimal
    budget_hours: float
    budget_iterations: int
    budget_tokens: int
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested: bool
    pause_requested: bool
    model: str
    worker: str | None
    phase: str
    operator: str
    context_above: int
    waits_for: str
    question: str | None
    answer_until: datetime | None
    next_lane: str
    resting_seconds: float
    idle_seconds: float
    now: datetime

    @property
    def age_seconds(self) -> float:
        """Seconds from its submission to its end, or to now."""
        return ((self.finished_at or self.now) - self.submitted_at).total_seconds()

    @property
    def run_seconds(self) -> float:
        """Seconds that count for its budget of hours."""
        if self.started_at is None:
            return 0.0
        return ((self.finished_at or self.now) - self.started_at).total_seconds() - self.idle_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """A job at work: the `tokens` received in the turn `epoch` by `at`; `now` is the database's clock, both in seconds.
    Its worker reports them every few seconds."""

    job: int
    epoch: int
    tokens: int
    at: float
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What is followed, in all: jobs by state, how many of them are `working`, what they have spent, their recorded
    iterations and those that their budgets still allow."""

    jobs: Mapping[JobState, int]
    working: int
    usd: Decimal
    tokens: int
    iterations: int
    iterations_left: int
    longest_left: int
    most_iterations: int
    first_started_at: datetime | None
    now: datetime

    @property
    def unfinished(self) -> int:
        """How many are not final."""
        return sum(number for state, number in self.jobs.items() if not state.final)


class JobLines:
    """One connection for the quick commands. Parameters: `url` as `address` has it, `name` shown by pg_stat_activity.

    Every method raises `DatabaseUnavailable`.
    """

    def __init__(self, url: str, *, name: str) -> None:
        self._parameters = parameters(url, name)
        self._connection: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def newest(
        self,
        *,
        states: Sequence[JobState] = (),
        tags: Sequence[str] = (),
        owner: str | None = None,
        batch: int | None = None,
        limit: int | None = None,
    ) -> tuple[JobLine, ...]:
        """Jobs in one of `states` that have every tag, this owner and this batch, the newest first."""
        values = {"states": [str(state) for state in states] or None, "tags": list(tags), "owner": owner}
        query = f"{_LINE}{_WHERE} ORDER BY j.id DESC LIMIT %(limit)s"
        return tuple(_line(row) for row in self._rows(query, {**values, "batch": batch, "limit": limit}))

    def followed(
        self, jobs: Sequence[int] | None, *, since: datetime | None = None, offset: int = 0, limit: int | None = None
    ) -> tuple[JobLine, ...]:
        """A page of what is followed: `jobs`, or all that are unfinished or have ended after `since`. Those at work
        first."""
        values = {**_followed(jobs, since), "offset": offset, "limit": limit}
        query = f"{_LINE} WHERE {_FOLLOWED} ORDER BY {_ORDER} OFFSET %(offset)s LIMIT %(limit)s"
        return tuple(_line(row) for row in self._rows(query, values))

    def totals(self, jobs: Sequence[int] | None, *, since: datetime | None) -> Totals:
        """The sums over what is followed, as `followed` has it."""
        query = f"""SELECT
               j.state, count(*) AS jobs, count(l.worker) AS working, sum(j.spent_usd) AS usd,
               sum(j.local_tokens + j.cloud_tokens) AS tokens, sum(j.iterations) AS iterations,
               sum(j.budget_iterations - j.iterations) AS iterations_left, max(j.iterations) AS most_iterations,
               max(j.budget_iterations - j.iterations) AS longest_left, min(j.started_at) AS first_started_at,
               clock_timestamp() AS now
        FROM jobs j JOIN leases l ON l.job_id = j.id WHERE {_FOLLOWED}
        GROUP BY GROUPING SETS ((j.state), ())"""  # noqa: S608 - its one part is the constant above
        rows = self._rows(query, _followed(jobs, since))
        by_state = {JobState(row.state): row for row in rows if row.state is not None}
        open_rows = [row for state, row in by_state.items() if not state.final]
        return Totals(
            jobs={state: by_state[state].jobs for state in JobState if state in by_state},
            working=sum(row.working for row in by_state.values()),
            usd=sum((row.usd for row in by_state.values()), Decimal()),
            tokens=int(sum(row.tokens for row in by_state.values())),
            iterations=int(sum(row.iterations for row in by_state.values())),
            iterations_left=int(sum(row.iterations_left for row in open_rows)),
            longest_left=max((row.longest_left for row in open_rows), default=0),
            most_iterations=max((row.most_iterations for row in open_rows), default=0),
            first_started_at=min(
                (row.first_started_at for row in by_state.values() if row.first_started_at), default=None
            ),
            now=next(row.now for row in rows if row.state is None),
        )

    def working(self) -> tuple[Working, ...]:
        """The counters of the login's jobs at work."""
        query = """SELECT job_id AS job, epoch, live_tokens AS tokens, extract(epoch FROM progress_at)::float AS at,
                          extract(epoch FROM clock_timestamp())::float AS now
                   FROM leases WHERE worker IS NOT NULL"""
        return tuple(Working(**row._asdict()) for row in self._rows(query))

    def missing(self, jobs: Sequence[int]) -> tuple[int, ...]:
        """Those of `jobs` that do not exist, or are another owner's."""
        query = "SELECT v AS job FROM unnest(%(jobs)s::bigint[]) v WHERE NOT EXISTS (SELECT FROM jobs WHERE id = v)"
        return tuple(row.job for row in self._rows(query, {"jobs": list(jobs)}))

    def waiting(self) -> Mapping[str, int]:
        """How many jobs wait for a worker, by the lane of their next step."""
        query = """SELECT l.lane, count(*) AS jobs FROM leases l JOIN jobs j ON j.id = l.job_id
                   WHERE l.worker IS NULL AND j.state IN ('queued', 'running') GROUP BY 1"""
        return {row.lane: row.jobs for row in self._rows(query)}

    def tags(self, beginning: str, limit: int) -> tuple[str, ...]:
        """Tags of the login's jobs that begin so."""
        query = """SELECT DISTINCT tag FROM jobs j CROSS JOIN unnest(j.tags) tag
                   WHERE starts_with(tag, %(beginning)s) ORDER BY tag LIMIT %(limit)s"""
        return tuple(row.tag for row in self._rows(query, {"beginning": beginning, "limit": limit}))

    def workers(self) -> tuple[WorkerRow, ...]:
        """Every worker that has registered and has not signed off."""
        return tuple(worker_row(row) for row in self._rows(WORKERS))

    def circuit_open(self) -> bool:
        """Whether a provider's circuit is open."""
        query = "SELECT EXISTS (SELECT FROM providers WHERE open_until IS NOT NULL) AS open"
        return any(row.open for row in self._rows(query))

    def hooks(self) -> tuple[HookRow, ...]:
        """Every hook that the relay has registered; needs a worker's login."""
        return tuple(hook_row(row) for row in self._rows(HOOKS))

    def now(self) -> datetime:
        """The database's clock."""
        (row,) = self._rows("SELECT clock_timestamp() AS now")
        moment: datetime = row.now
        return moment

    def relay_connected(self) -> bool:
        """Whether a relay, which wakes workers, is connected."""
        query = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = 'redraft relay') AS relay"
        return any(row.relay for row in self._rows(query))

    def _rows(self, query: str, values: Mapping[str, Any] | None = None) -> list[Any]:
        with self._explained():
            if self._connection is None:
                self._connection = psycopg.connect(
                    autocommit=True,  # each query stands for itself
                    prepare_threshold=None,  # a pooler in transaction mode has no prepared statements to offer
                    row_factory=namedtuple_row,
                    **self._parameters,
                )
            return self._connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            raise unreachable(error) from error
        except psycopg.ProgrammingError as error:
            fault = explain(error)
            if fault is None:
                raise
            raise fault from error


def _followed(jobs: Sequence[int] | None, since: datetime | None) -> dict[str, Any]:
    return {"jobs": None if jobs is None else list(jobs), "since": since}


def _line(row: Any) -> JobLine:
    return JobLine(
        job=row.id,
        title=row.title,
        state=JobState(row.state),
        reason=row.reason,
        acceptance=Acceptance(row.acceptance) if row.acceptance else None,
        lane=Lane(row.lane),
        iterations=row.iterations,
        score=row.score,
        value=row.value,
        measured=row.measured,
        usd=Decimal(row.spent_usd),
        tokens=row.tokens,
        budget_usd=Decimal(row.budget_usd),
        budget_hours=row.budget_hours,
        budget_iterations=row.budget_iterations,
        budget_tokens=row.budget_tokens,
        submitted_at=row.submitted_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested=row.cancel_requested,
        pause_requested=row.pause_requested,
        model=row.model,
        worker=row.worker,
        phase=row.phase,
        operator=row.operator,
        context_above=row.context_above,
        waits_for=row.waits_for,
        question=row.question,
        answer_until=row.answer_until,
        next_lane=row.next_lane,
        resting_seconds=max(0.0, row.resting_seconds),
        idle_seconds=float(row.idle_seconds),
        now=row.now,
    )
