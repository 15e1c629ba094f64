"""Changes of a job's checks and title: they wait until a turn finds that no iteration is under way, and hold from its
next iteration on. Must not know what follows from them.

The verdicts of earlier iterations stay as they are, and the checks that gave them stay in the row of the change.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from tasks.errors import NoSuchJob
from tasks.store import leases, stored
from tasks.store.session import Database, explained
from tasks.types import CheckSpec

# The newest change of the checks, or of the title, that no iteration has seen.
_WAITING = "SELECT {0} FROM edits WHERE job_id = :job AND waits AND {0} IS NOT NULL ORDER BY id DESC LIMIT 1"


def checks_of(database: Database, job: int) -> tuple[tuple[CheckSpec, ...], int]:
    """The checks of a job as its next iteration will have them, and the edit that gave it them, 0 where nobody changed
    them. Raises `NoSuchJob`, `MalformedJob`, `DatabaseUnavailable`."""
    query = text(f"""SELECT coalesce(({_WAITING.format("checks")}), checks) AS checks, coalesce((
                         SELECT max(id) FROM edits WHERE job_id = :job AND checks IS NOT NULL), 0) AS edit
                     FROM jobs WHERE id = :job""")  # noqa: S608
    with database.connect() as connection, explained():
        found = connection.execute(query, {"job": job}).one_or_none()
    if found is None:
        raise NoSuchJob(job)
    return stored.checks_of(found.checks), found.edit


def waiting(connection: Connection, job: int) -> bool:
    """Whether a change of the job's checks waits for its next iteration."""
    query = text(f"SELECT EXISTS ({_WAITING.format('checks')})")
    return bool(connection.execute(query, {"job": job}).scalar_one())


def take(connection: Connection, job: int) -> bool:
    """Has the changes that wait hold from the open iteration on, where nothing of it is made yet, else from the next
    one, where none is open; says whether there were any. An open move that was decided by the verdicts of other checks
    is taken back, so that it is decided anew. The job's lease row must be locked by this transaction."""
    row = connection.execute(
        text(f"""SELECT coalesce(i.number, j.iterations + 1) AS first, i.number AS open, i.operator,
                        ({_WAITING.format("checks")}) AS checks, ({_WAITING.format("title")}) AS title
                 FROM jobs j LEFT JOIN iterations i ON i.job_id = j.id AND i.finished_at IS NULL
                 WHERE j.id = :job AND j.state NOT IN ({leases.FINAL})
                   AND EXISTS (SELECT 1 FROM edits WHERE job_id = :job AND waits)
                   AND NOT EXISTS (SELECT 1 FROM calls c WHERE c.job_id = :job AND c.iteration = i.number)
                   AND NOT EXISTS (SELECT 1 FROM candidates k WHERE k.job_id = :job AND k.iteration = i.number)
                   AND NOT EXISTS (SELECT 1 FROM escalations e WHERE e.job_id = :job AND e.iteration = i.number)"""),  # noqa: S608
        {"job": job},
    ).one_or_none()
    if row is None:
        return False
    at = {"job": job, "number": row.first}
    connection.execute(
        text(f"""UPDATE jobs SET title = coalesce(({_WAITING.format("title")}), title),
                        checks = coalesce(({_WAITING.format("checks")}), checks),
                        checks_since = CASE WHEN :changed THEN :number ELSE checks_since END WHERE id = :job"""),  # noqa: S608
        {**at, "changed": row.checks is not None},
    )
    connection.execute(
        text("UPDATE edits SET waits = false, iteration = :number WHERE job_id = :job AND waits"),
        at,
    )
    if row.checks is not None and row.open is not None and row.operator != "recheck":
        connection.execute(
            text("UPDATE hints SET iteration = NULL, taken_at = NULL WHERE job_id = :job AND iteration = :number"), at
        )
        connection.execute(text("DELETE FROM iterations WHERE job_id = :job AND number = :number"), at)
    what = "checks" if row.checks is not None else "title"
    leases.note(connection, job, "edit seen", f"iteration {row.first} is the first with the changed {what}")
    return True
