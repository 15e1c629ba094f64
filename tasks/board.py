"""What the live page reads, as one object of the client's: the night, lists of jobs, one job in pieces. Must not know
how it is shown."""

from __future__ import annotations

from datetime import datetime

from tasks.store import board, job_board, live_text
from tasks.store.board_rows import (
    CallText,
    CandidateLine,
    Choices,
    CurvePoint,
    InFlight,
    IterationDetail,
    IterationLine,
    JobFilter,
    JobLine,
    JobPage,
    LaneRow,
    LiveText,
    Night,
    Stretch,
    VerdictLine,
)
from tasks.store.event_log import read_events
from tasks.store.session import Database
from tasks.store.summaries import EventRow
from tasks.types import CandidateRef


class Board:
    """The reads of a live page over one `database`, each of a bounded number of statements and rows. Row-level security
    decides what they give. Every method raises `DatabaseUnavailable`; those of one iteration or call raise `NoSuchJob`
    where the login has none of that number."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # ── the night ────────────────────────────────────────────────────────────────────────────

    def night(self, since: datetime) -> Night:
        """The login's jobs since a moment, and what goes on now."""
        return board.night(self._database, since)

    def first_submission(self) -> datetime | None:
        """When the oldest of the login's jobs was submitted; None where there is none."""
        return board.first_submission(self._database)

    def ended_work(self, since: datetime, *, seconds: int) -> tuple[Stretch, ...]:
        """What ended in each stretch of so many `seconds`, counted from 1970, that begins at `since` or later."""
        return board.ended_work(self._database, since, seconds=seconds)

    def lanes(self) -> tuple[LaneRow, ...]:
        """Each lane now: who serves it and what waits there."""
        return board.lanes(self._database)

    def at_work(self, limit: int) -> tuple[JobLine, ...]:
        """Jobs that a worker holds now, the oldest first."""
        return board.at_work(self._database, limit)

    def waiting(self, limit: int) -> tuple[JobLine, ...]:
        """Unfinished jobs that no worker holds, the next first, paused ones last."""
        return board.waiting(self._database, limit)

    def ended(self, since: datetime, limit: int) -> tuple[JobLine, ...]:
        """Jobs that ended since a moment, the last first."""
        return board.ended(self._database, since, limit)

    def version(self) -> str:
        """Another text whenever the overview or a list has changed."""
        return board.version(self._database)

    # ── lists ────────────────────────────────────────────────────────────────────────────────

    def find(self, wanted: JobFilter, *, before: int | None = None, limit: int) -> JobPage:
        """The newest jobs that match, with numbers below `before`."""
        return board.find(self._database, wanted, before=before, limit=limit)

    def chosen(self, jobs: tuple[int, ...]) -> tuple[JobLine, ...]:
        """Those of `jobs` that there are, in that order."""
        return board.chosen(self._database, jobs)

    def choices(self) -> Choices:
        """What jobs can be filtered by."""
        return board.choices(self._database)

    # ── one job ──────────────────────────────────────────────────────────────────────────────

    def curve(self, job: int) -> tuple[CurvePoint, ...]:
        """The best candidate of each recorded iteration, the first first."""
        return job_board.curve(self._database, job)

    def iterations(self, job: int, *, before: int | None = None, limit: int) -> tuple[IterationLine, ...]:
        """The newest iterations with numbers below `before`, the newest first."""
        return job_board.iterations(self._database, job, before=before, limit=limit)

    def candidates(self, job: int, first: int, last: int) -> tuple[CandidateLine, ...]:
        """The candidates of iterations `first` to `last`, in order."""
        return job_board.candidates(self._database, job, first, last)

    def ancestry(self, job: int, ref: CandidateRef) -> tuple[CandidateLine, ...]:
        """The candidates that one descends from, its draft first, itself last."""
        return job_board.ancestry(self._database, job, ref)

    def iteration(self, job: int, number: int) -> IterationDetail:
        """One iteration with the texts of its candidates."""
        return job_board.iteration(self._database, job, number)

    def verdicts(self, job: int, *, after: int) -> tuple[VerdictLine, ...]:
        """The verdicts on candidates of iterations above `after`, the first first."""
        return job_board.verdicts(self._database, job, after)

    def call(self, job: int, call: int) -> CallText:
        """One model call word for word."""
        return job_board.call_text(self._database, job, call)

    def events(self, job: int, *, before: int | None = None, limit: int) -> tuple[EventRow, ...]:
        """The newest events with numbers below `before`, the newest first."""
        return job_board.newest_events(self._database, job, before=before, limit=limit)

    def watch_text(self, job: int) -> None:
        """Asks for what the job's calls are writing, for some seconds."""
        live_text.watch_text(self._database, job)

    def live_text(self, job: int) -> tuple[LiveText, ...]:
        """What the calls of a watched job have written so far."""
        return live_text.live_text(self._database, job)

    def text_version(self, job: int) -> str:
        """Another text whenever a watched job's calls have written more."""
        return live_text.text_version(self._database, job)

    def events_after(self, job: int, number: int) -> tuple[EventRow, ...]:
        """The next events with numbers above this one, the first first."""
        return read_events(self._database, {job: number})

    def in_flight(self, job: int) -> tuple[InFlight, ...]:
        """The requests that a worker waits for now."""
        return job_board.in_flight(self._database, job)

    def job_version(self, job: int) -> str:
        """Another text whenever a job's page has changed; empty where there is no such job."""
        return job_board.job_version(self._database, job)
