"""Questions of jobs to whoever posed their problem: asked, answered, given up after their time. While one is open
nobody holds the job and nobody can claim it. Must not know who writes a question.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from tasks.errors import InvalidInput, NoSuchJob
from tasks.store import leases
from tasks.store.lifecycle import refusals
from tasks.store.session import Database, explained
from tasks.types import JobState

# Sent with a job's number when it asks.
CHANNEL = "redraft_ask"


def ask(connection: Connection, job: int, iteration: int, question: str, *, hours: float) -> None:
    """Has a job wait for the answer to a question, for so many hours. Its lease row must be locked by this transaction,
    which gives the lease back."""
    connection.execute(
        text("""INSERT INTO questions (job_id, iteration, text, answer_until)
                VALUES (:job, :iteration, :question, now() + make_interval(secs => :seconds))"""),
        {"job": job, "iteration": iteration, "question": question, "seconds": hours * 3600},
    )
    connection.execute(
        text("""UPDATE jobs SET state = 'needs_input', paused_at = now(), pause_requested_at = NULL
                WHERE id = :job"""),
        {"job": job},
    )
    leases.note(connection, job, "asked", question)
    connection.execute(text("SELECT pg_notify(:channel, :job)"), {"channel": CHANNEL, "job": str(job)})


def answer(database: Database, job: int, said: str) -> JobState:
    """Answers the question of a job, which is queued again: its next iteration and all later ones see the answer.

    Returns the state it has then. Raises `InvalidInput` where it asks nothing, or the answer is empty or too long;
    `NoSuchJob`, `DatabaseUnavailable`.
    """
    if "\0" in said:
        raise InvalidInput("answer", "a NUL character", "text")
    with database.begin() as connection, explained(), refusals():
        query = text("SELECT redraft_answer(:job, :said)")
        state = connection.execute(query, {"job": job, "said": said}).scalar_one()
    if state is None:
        raise NoSuchJob(job)
    return JobState(state)


def give_up(database: Database) -> tuple[int, ...]:
    """Has every job go on without an answer whose question has waited for its time; returns them. Raises
    `DatabaseUnavailable`."""
    with database.begin() as connection:
        due = text("""SELECT q.job_id FROM questions q WHERE q.closed_at IS NULL AND q.answer_until < now()
                      ORDER BY q.job_id""")
        return tuple(
            job
            for job in connection.execute(due).scalars().all()
            if connection.execute(text("SELECT redraft_unanswered(:job, false)"), {"job": job}).scalar_one()
        )
