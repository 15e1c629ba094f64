"""Advice to a job: kept, given to the first iteration that can see it, and read. Must not know how a prompt shows it.

A hint waits until a turn finds an iteration that is open and has no call yet: from then on it belongs to that
iteration, so that whoever goes on after a crash builds the same prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, text

from tasks.errors import InvalidInput, NoSuchJob
from tasks.store import contexts, leases, stored
from tasks.store.lifecycle import refusals
from tasks.store.session import Database, explained
from tasks.store.tables import jobs
from tasks.types import Hint, HintSource, JobState
from tasks.window import MOST_BYTES, estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class HintOutcome:
    """What became of a job that was given a hint: the `state` in which it was. `held_up` is there for one that was
    unsolved: why it can't go on, empty where it does."""

    state: JobState
    held_up: str | None


def advise(database: Database, job: int, advice: str) -> HintOutcome:
    """Gives a job a person's hint; one that is unsolved goes on with what is left of its budget. Raises `InvalidInput`
    where it takes no hint, or the hint is empty or too long; `NoSuchJob`, `DatabaseUnavailable`."""
    if "\0" in advice:
        raise InvalidInput("hint", "a NUL character", "text")
    with database.begin() as connection, explained(), refusals():
        query = text("SELECT redraft_hint(:job, :advice)")
        done = connection.execute(query, {"job": job, "advice": advice}).scalar_one()
        if done is None:
            raise NoSuchJob(job)
        _check_window(connection, job)
    return HintOutcome(state=JobState(done["state"]), held_up=done["held_up"])


def hints_of(database: Database, job: int) -> tuple[Hint, ...]:
    """All hints of one of the login's jobs, the first first, those included that no iteration has seen. None of a job
    that is not the login's. Raises `DatabaseUnavailable`."""
    with database.connect() as connection, explained():
        return read(connection, job)


def read(connection: Connection, job: int) -> tuple[Hint, ...]:
    """All hints of a job, the first first."""
    rows = connection.execute(text("SELECT * FROM hints WHERE job_id = :job ORDER BY id"), {"job": job})
    return tuple(
        Hint(
            id=row.id,
            source=HintSource.PERSON,
            text=row.text,
            by=row.given_by,
            at=row.created_at,
            question=row.question,
            iteration=row.iteration,
        )
        for row in rows
    )


def seen(hints: Sequence[Hint]) -> tuple[Hint, ...]:
    """Those that an iteration has seen."""
    return tuple(hint for hint in hints if hint.iteration is not None)


def take(connection: Connection, job: int) -> bool:
    """Gives the hints that wait to the open iteration, where none of its calls is made yet, and says whether there were
    any. The job's lease row must be locked by this transaction."""
    number = (
        connection.execute(
            text("""UPDATE hints h SET iteration = i.number, taken_at = now() FROM iterations i
                WHERE h.job_id = :job AND h.iteration IS NULL AND i.job_id = :job AND i.finished_at IS NULL
                AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.job_id = :job AND c.iteration = i.number)
                AND NOT EXISTS (SELECT 1 FROM escalations e WHERE e.job_id = :job AND e.iteration = i.number)
                RETURNING i.number"""),
            {"job": job},
        )
        .scalars()
        .first()
    )
    if number is not None:
        leases.note(connection, job, "hint seen", f"by iteration {number} and those after it")
    return number is not None


def _check_window(connection: Connection, job: int) -> None:
    """Raises `InvalidInput` where the hints of the job surely don't fit the largest context that is served on its lane
    beside its problem."""
    row = connection.execute(select(jobs).where(jobs.c.id == job)).one()
    spec = stored.spec_of(row)
    window = contexts.largest_window(connection, spec.lane, spec.model)
    if window is None:
        return
    problem = estimate(spec).least
    takes = sum(len(hint.text.encode()) for hint in read(connection, job)) // MOST_BYTES
    may = window.advice_tokens(problem)
    if takes > may:
        raise InvalidInput(
            "hint",
            f"at least {takes:,} tokens, with the job's other hints",
            f"at most {may:,}: half of what the context of {window.model or 'the model'}, {window.context_tokens:,}, "
            f"leaves beside an answer of {window.answer_tokens:,} and a problem of at least {problem:,}",
        )


def go_on(connection: Connection, job: int) -> None:
    """Queues a job again that has just ended unsolved with hints which nobody has seen, if its budget allows it."""
    connection.execute(text("SELECT redraft_go_on(:job)"), {"job": job})
