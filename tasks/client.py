"""The Python client: submit jobs, wait for them, read what came of them. What the command line itself uses.

    from tasks.client import Client
    from workers.addresses import database_url  # the local stack's, or REDRAFT_DATABASE_URL

    with Client(database_url()) as client:
        [job] = client.submit("problem.md")
        for event in client.events(job):
            print(event.at, event.kind, event.detail)
        print(client.result(job))

Synchronous, and safe to share between threads. Row-level security decides what a login sees: its own jobs. Every method
raises `DatabaseUnavailable` where Postgres can't be reached, and `NoSuchJob` for a job that isn't there or is another
owner's. Must not know how anything is shown, nor the processes that work on jobs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tasks import follow as following
from tasks.board import Board
from tasks.errors import InvalidInput, NoSuchJob
from tasks.follow import PATIENCE_SECONDS, Patient, Snapshot
from tasks.store import bills, breakers, check_edits, fleet, hints, lesson_queries, lifecycle, queries, questions
from tasks.store.bills import Bill
from tasks.store.breakers import Circuit
from tasks.store.costs import CostBy, costs
from tasks.store.daily import read_limits, set_limits
from tasks.store.escalation_rows import EscalationRow, escalation_rows
from tasks.store.event_log import read_events
from tasks.store.hints import HintOutcome
from tasks.store.job_loader import load_job
from tasks.store.lesson_queries import LessonRow, Reader
from tasks.store.notices import DONE, Notices
from tasks.store.reading import run_sql
from tasks.store.session import Database
from tasks.store.submissions import egress_of
from tasks.store.summaries import (
    BatchSummary,
    CostRow,
    DailyLimit,
    EditRow,
    EgressRow,
    EventRow,
    IterationRow,
    JobSummary,
    Rows,
    Submitted,
)
from tasks.store.workerrows import WorkerRow
from tasks.types import BatchBudget, Changes, CheckSpec, Egress, Hint, Job, JobState, Lesson

if TYPE_CHECKING:  # what a submission needs takes longer to import than most commands run
    from tasks.measuring import TokenCount
    from tasks.sources import Source
    from tasks.submit import Progress, Rules, Submission

# A job by its number, or as a method returned it.
JobRef = int | Submitted | JobSummary
# Postgres's bigint.
LARGEST_JOB = 2**63 - 1
# A job's end comes by NOTIFY; these bound what a lost notice, a cancel or a live view costs. One indexed query each.
WAIT_SECONDS = 1.0
POLL_SECONDS = 0.5
PAGE = 1000
NO_CHANGES = Changes()


class Client:
    """Parameters: `url` of the database (`postgresql://USER:PASSWORD@HOST:PORT/NAME`, a login with the role
    redraft_submitter), `rules` of submissions (those of this installation where left out), `name` shown by
    pg_stat_activity, `pool` connections kept. Nothing is connected before the first method is called. Raises
    `InvalidInput` where `url` is no such address.
    """

    def __init__(self, url: str, *, rules: Rules | None = None, name: str = "redraft client", pool: int = 2) -> None:
        self._database = Database(url, name=name, pool=pool)
        self._rules = rules

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes every connection."""
        self._database.close()

    # ── submitting ───────────────────────────────────────────────────────────────────────────

    def submit(
        self,
        jobs: Source | Submission | Iterable[Source],
        *,
        folder: Path | None = None,
        progress: Progress | None = None,
        count: TokenCount | None = None,
        pool: BatchBudget | None = None,
    ) -> tuple[Submitted, ...]:
        """Checks and stores jobs, all or none, in their order.

        `jobs` is one or several of: the path of a job file (Markdown, or JSON lines for many), a mapping of a job
        file's fields with the text in `problem`, a `JobSpec`, which is stored as it is; or a `Submission`, which is
        checked already. The relative paths of mappings start at `folder`, the current one where left out. A job whose
        key was used before is given back (`new` is False). `progress` is called with a step's name and how many of how
        many jobs are done. `count` counts the tokens of a problem that may be too long for a model, by the model's
        name; without it, and where it gives None, they are estimated from the problem's bytes. With a `pool` the new
        jobs are one batch: they share this budget, and each keeps its own.

        Raises `InvalidInput`, with the field, the value and what is allowed.
        """
        from tasks.sources import check_sources
        from tasks.submit import Submission, no_progress, store

        tell = progress or no_progress
        if not isinstance(jobs, Submission):
            jobs = check_sources(jobs, folder or Path.cwd(), self.rules, tell)
        return store(self._database, jobs, tell, count, pool=pool)

    @property
    def rules(self) -> Rules:
        """What is allowed in a submission."""
        if self._rules is None:
            from tasks.installed import installed_rules
            from tasks.settings import load_settings

            self._rules = installed_rules(load_settings())
        return self._rules

    # ── reading ──────────────────────────────────────────────────────────────────────────────

    def summary(self, job: JobRef) -> JobSummary:
        """One job with its best answer so far."""
        return queries.job_summary(self._database, _number(job))

    def result(self, job: JobRef) -> str | None:
        """The accepted answer, or the best so far; None where there is none yet. `summary` says which it is."""
        return self.summary(job).answer

    def list(
        self,
        *,
        states: Sequence[JobState] = (),
        tags: Sequence[str] = (),
        owner: str | None = None,
        batch: int | None = None,
        limit: int | None = None,
        before: int | None = None,
        oldest_first: bool = False,
    ) -> tuple[JobSummary, ...]:
        """Jobs in one of `states`, with every one of `tags`, of this owner and batch, without answers; the newest
        first, or the oldest.

        A page: `limit` of them at most, with numbers below `before`, which is the last number of the page before.
        """
        return queries.list_jobs(
            self._database,
            states=states,
            tags=tags,
            owner=owner,
            batch=batch,
            limit=limit,
            before=before,
            oldest_first=oldest_first,
        )

    def pages(
        self,
        *,
        states: Sequence[JobState] = (),
        tags: Sequence[str] = (),
        owner: str | None = None,
        batch: int | None = None,
    ) -> Iterator[JobSummary]:
        """As `list`, the newest first, read `PAGE` at a time: for more jobs than memory should hold."""
        before = None
        while rows := self.list(states=states, tags=tags, owner=owner, batch=batch, limit=PAGE, before=before):
            yield from rows
            before = rows[-1].job

    def problem_digests(self, jobs: Iterable[JobRef]) -> Mapping[int, str]:
        """By number a digest of what each job asks for; jobs with the same one have the same problem and checks."""
        return queries.problem_digests(self._database, [_number(job) for job in jobs])

    def batch(self, number: int) -> BatchSummary | None:
        """What a batch has come to and has used, None where the login has none of that number."""
        return queries.batch_summary(self._database, number)

    def history(self, job: JobRef) -> tuple[IterationRow, ...]:
        """A job's recorded iterations, the first first, each with its best candidate and its verdicts."""
        return queries.job_history(self._database, _number(job))

    def hints(self, job: JobRef) -> tuple[Hint, ...]:
        """The advice that a job was given, the first first; `iteration` is None where none has seen it yet."""
        return hints.hints_of(self._database, _number(job))

    def edits(self, job: JobRef) -> tuple[EditRow, ...]:
        """What was changed of a job by `edit`, the first first."""
        return queries.edits_of(self._database, _number(job))

    def checks(self, job: JobRef) -> tuple[tuple[CheckSpec, ...], int]:
        """The checks of a job as its next iteration will have them, and the edit that gave it them: what
        `Changes.checks` and `Changes.checks_edit` build on."""
        return check_edits.checks_of(self._database, _number(job))

    def egress(self, job: JobRef) -> tuple[EgressRow, ...]:
        """Every request that was sent to the cloud for a job, word for word, the first first."""
        return queries.job_egress(self._database, _number(job))

    def escalations(
        self, job: JobRef | None = None, *, unsettled: bool = False, limit: int | None = None
    ) -> tuple[EscalationRow, ...]:
        """Requests to the cloud, of one job or of all, the newest first; with `unsettled` only those whose cost nobody
        knows."""
        number = None if job is None else _number(job)
        return escalation_rows(self._database, number, unsettled=unsettled, limit=limit)

    def settle_escalation(
        self, job: JobRef, iteration: int, *, usd: Decimal, tokens: int | None = None, who: str = ""
    ) -> Bill:
        """Charges an escalation whose cost nobody knows what the provider's bill says; `who` says so. Needs an
        operator's login. Raises `NoSuchEscalation`, `NotSettleable`."""
        return bills.settle(self._database, _number(job), iteration, usd=usd, tokens=tokens, who=who)

    def circuits(self) -> tuple[Circuit, ...]:
        """The circuit breakers of providers that are open, or have counted faults."""
        return breakers.circuits(self._database)

    def daily_limits(self) -> tuple[DailyLimit, ...]:
        """The limits of today (UTC) that hold for the login, with what is used and what is in flight of each."""
        return read_limits(self._database)

    def set_daily_limits(self, owner: str, amounts: Mapping[str, Decimal | int | float | None]) -> None:
        """Limits what an owner may use in a day (UTC), by unit; None removes one. Of the owner `""` it is the whole
        deployment, of `"*"` each owner without a number of its own. Needs a worker's login or a superuser's."""
        set_limits(self._database, owner, amounts)

    def egress_of(self, submission: Submission) -> tuple[Egress, ...]:
        """What would be stored as each job's egress if they were submitted now."""
        return egress_of(self._database, submission.specs, submission.egress)

    def cost(self, by: CostBy | str = CostBy.JOB) -> tuple[CostRow, ...]:
        """Calls, tokens and dollars, added up by job, owner, model, day (UTC's) or batch. Raises `InvalidInput`."""
        from tasks.jobfields import check_name

        return costs(self._database, CostBy(check_name("by", by, tuple(CostBy))))

    def load(self, job: JobRef) -> Job:
        """A job with its whole past, as its next step is built from it. Raises `MalformedJob`."""
        return load_job(self._database, _number(job))

    def sql(self, query: str) -> Rows:
        """The answer to one reading statement over the documented views. Raises `InvalidInput` in Postgres's words."""
        return run_sql(self._database, query)

    def workers(self) -> tuple[WorkerRow, ...]:
        """Every worker that has registered and has not signed off."""
        return fleet.live_workers(self._database)

    @property
    def board(self) -> Board:
        """The reads of a live page."""
        return Board(self._database)

    def relay_connected(self) -> bool:
        """Whether a relay, which wakes workers, is connected."""
        return fleet.relay_connected(self._database)

    # ── following ────────────────────────────────────────────────────────────────────────────

    def wait(self, jobs: JobRef | Iterable[JobRef], timeout: float | None = None) -> tuple[JobSummary, ...]:
        """Waits until each job is final or needs input, or `timeout` seconds have passed: then some of what is returned
        is not final (`state.final`). In the order of `jobs`, without answers."""
        last: Snapshot = {}
        for last in self.follow(jobs, timeout, poll_seconds=WAIT_SECONDS):
            if all(job.state.final or job.state is JobState.NEEDS_INPUT for job in last.values()):
                break
        return tuple(last.values())

    def events(
        self, jobs: JobRef | Iterable[JobRef], *, after: int = 0, timeout: float | None = None
    ) -> Iterator[EventRow]:
        """The log of jobs as it is written, from the first event whose number is larger than `after`. Ends when every
        job is final and all is read, or `timeout` seconds have passed.

        A database that goes away meanwhile is awaited for a minute; no event is lost or repeated.
        """
        patient, last = _patient(timeout), dict.fromkeys(_numbers(jobs), after)
        # Each look comes before the events are read, so that the event of a final state is among them.
        for _ in self._follow(tuple(last), timeout, POLL_SECONDS, patient):
            while events := patient(lambda: read_events(self._database, last)):
                for event in events:
                    last[event.job] = event.number
                    yield event

    def changes(self, jobs: JobRef | Iterable[JobRef], timeout: float | None = None) -> Iterator[JobSummary]:
        """Each job now, and again whenever its state, iteration, score, phase or worker has changed; ends as `events`
        does."""
        return following.changes(self.follow(jobs, timeout))

    def follow(
        self, jobs: JobRef | Iterable[JobRef], timeout: float | None = None, *, poll_seconds: float = POLL_SECONDS
    ) -> Iterator[Snapshot]:
        """All of the jobs by number, every `poll_seconds` and at once when one ends; ends as `events` does."""
        return self._follow(_numbers(jobs), timeout, poll_seconds, _patient(timeout))

    def _follow(
        self, numbers: Sequence[int], timeout: float | None, poll_seconds: float, patient: Patient
    ) -> Iterator[Snapshot]:
        notices, payloads = Notices(self._database, DONE), {str(number) for number in numbers}
        try:
            yield from following.follow(
                lambda: patient(lambda: self._snapshot(numbers)),
                lambda seconds: notices.wait(payloads, seconds),
                timeout=timeout,
                poll_seconds=poll_seconds,
            )
        finally:
            notices.close()

    def _snapshot(self, numbers: Sequence[int]) -> Snapshot:
        rows = {job.job: job for job in queries.list_jobs(self._database, jobs=numbers)}
        missing = next((number for number in numbers if number not in rows), None)
        if missing is not None:
            raise NoSuchJob(missing)
        return {number: rows[number] for number in numbers}

    # ── deciding ─────────────────────────────────────────────────────────────────────────────

    def cancel(self, job: JobRef) -> JobState:
        """Cancels a job, at once where no worker holds it, else within seconds; a final one stays as it is. Returns
        the state it has now."""
        return lifecycle.request_cancel(self._database, _number(job))

    def pause(self, job: JobRef) -> JobState:
        """Pauses a job, at once where no worker holds it, else within seconds; a final one stays as it is. Returns
        the state it has now."""
        return lifecycle.request_pause(self._database, _number(job))

    def resume(self, job: JobRef) -> JobState:
        """Queues a paused job again, or withdraws a pause; any other stays as it is. Returns the state it has now."""
        return lifecycle.resume(self._database, _number(job))

    def retry(self, job: JobRef, changes: Changes = NO_CHANGES) -> JobState:
        """Queues a final, not accepted job again from where it stood, with the budget in all that `changes` names.
        Returns the state it has now. Raises `InvalidInput` where it may not go on."""
        return lifecycle.retry(self._database, _number(job), changes)

    def fork(self, job: JobRef, upto: int, changes: Changes = NO_CHANGES) -> int:
        """A new job that begins with iterations 1 to `upto` of this one, and nothing spent. Returns its number. Raises
        `InvalidInput` where `upto` is not recorded, or an answer had been accepted by then."""
        return lifecycle.fork(self._database, _number(job), upto, changes)

    def edit(self, job: JobRef, changes: Changes) -> JobState:
        """Changes what `changes` names of the budget, the priority and the tags, at once, and of the title and the
        checks, with the next iteration; one that ended unsolved goes on with a larger budget. Returns the state it has
        then. Raises `InvalidInput` where that is not allowed."""
        return lifecycle.edit(self._database, _number(job), changes)

    def answer(self, job: JobRef, text: str) -> JobState:
        """Answers the question of a job that needs input, which goes on: its next iteration and all later ones see the
        answer. Returns the state it has then. Raises `InvalidInput` where it asks nothing, or the answer is empty or
        too long."""
        return questions.answer(self._database, _number(job), text)

    def hint(self, job: JobRef, advice: str) -> HintOutcome:
        """Gives a job advice, which its next iteration and all later ones see. One that ended unsolved goes on with
        what is left of its budget. Raises `InvalidInput` where the job takes no hint, or the hint is empty or too
        long."""
        return hints.advise(self._database, _number(job), advice)

    # ── lessons ──────────────────────────────────────────────────────────────────────────────

    def reader(self) -> Reader:
        """Who this login is, and whether it sees everybody's rows."""
        return lesson_queries.reader(self._database)

    def lesson(self, number: int) -> LessonRow:
        """One lesson with its provenance. Raises `NoSuchLesson`."""
        return lesson_queries.read_lesson(self._database, number)

    def lessons(self, numbers: Sequence[int]) -> tuple[LessonRow, ...]:
        """Those lessons that the login may see, in the order of `numbers`."""
        return lesson_queries.read_lessons(self._database, numbers)

    def indexed_lessons(self) -> Iterator[Lesson]:
        """Every lesson that belongs in the memory's index, the oldest first."""
        return lesson_queries.indexed(self._database)

    def quarantine(self, lesson: int) -> datetime:
        """Takes a lesson out of the memory for good. Returns since when it is out. Raises `NoSuchLesson`."""
        return lesson_queries.quarantine(self._database, lesson)


def _number(job: JobRef) -> int:
    number = job if isinstance(job, int) else job.job
    if not 1 <= number <= LARGEST_JOB:
        raise InvalidInput("job", number, "the number of a job, from 1")
    return number


def _numbers(jobs: JobRef | Iterable[JobRef]) -> tuple[int, ...]:
    several = [jobs] if isinstance(jobs, int | Submitted | JobSummary) else jobs
    return tuple(dict.fromkeys(map(_number, several)))


def _patient(timeout: float | None) -> Patient:
    return Patient() if timeout is None else Patient(min(timeout, PATIENCE_SECONDS))
