"""The lessons that jobs leave: rows in Postgres, which is the truth, and the outbox that carries them to the index."""

from __future__ import annotations

from sqlalchemy import Connection, insert, text

from tasks.store.tables import lessons, outbox
from tasks.types import JobState, Lesson

UPSERT = "memory.upsert"


def count(connection: Connection, job: int, state: JobState) -> None:
    """In the transaction that ends a job: counts the lessons that it recalled as helpful or not."""
    column = "helped" if state is JobState.ACCEPTED else "hurt"
    connection.execute(
        text(f"""UPDATE lessons SET {column} = {column} + 1 WHERE id IN (
                    SELECT (one.lesson ->> 'id')::bigint FROM jobs j, jsonb_array_elements(j.recalled) AS one(lesson)
                    WHERE j.id = :job)"""),  # noqa: S608 - one of two constants
        {"job": job},
    )


def keep(connection: Connection, job: int, lesson: Lesson) -> None:
    """Keeps what an ended job taught, and has it carried to the index."""
    number = connection.execute(
        insert(lessons)
        .values(
            job_id=job,
            owner=lesson.owner,
            family=lesson.family,
            kind=lesson.kind,
            situation=lesson.situation,
            advice=lesson.advice,
            avoid=lesson.avoid,
            evidence=lesson.evidence,
        )
        .returning(lessons.c.id)
    ).scalar_one()
    connection.execute(insert(outbox).values(job_id=job, topic=UPSERT, payload={"lesson": number}))
