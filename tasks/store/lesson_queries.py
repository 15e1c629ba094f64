"""Lessons as people and the memory's index read them. Row-level security decides which a person may see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

from tasks.crashpoints import CrashPoint, passing
from tasks.errors import NoSuchLesson
from tasks.ports import MemoryBank
from tasks.store.session import Database
from tasks.thompson import Counts
from tasks.types import Experience, Lesson, LessonKind, Record

REMOVE = "memory.remove"
# Cosine from which two lessons of one owner, family and kind are one.
SAME = 0.95

# An owner's jobs that say whether lessons help: enough to tell, and few enough to follow a change of the model.
LAST_JOBS = 200
_EXPERIENCE = text("""
WITH each AS (
    (SELECT * FROM jobs WHERE owner = :owner AND state = 'accepted' ORDER BY id DESC LIMIT :last)
    UNION ALL
    (SELECT * FROM jobs WHERE owner = :owner AND state = 'unsolved' ORDER BY id DESC LIMIT :last)
), recent AS (
    SELECT state = 'accepted' AS solved, coalesce(recalled, '[]') <> '[]' AS taught,
           ARRAY(SELECT one ->> 'kind' FROM jsonb_array_elements(checks) AS one) AS kinds
    FROM each ORDER BY id DESC LIMIT :last
)
SELECT taught, count(*) FILTER (WHERE solved) AS solved, count(*) FILTER (WHERE NOT solved) AS failed
FROM recent WHERE kinds @> CAST(:kinds AS text[]) AND kinds <@ CAST(:kinds AS text[]) GROUP BY taught
""")

_ROWS = "SELECT l.*, j.title FROM lessons l JOIN jobs j ON j.id = l.job_id "
_IN_THE_INDEX = "l.quarantined_at IS NULL AND l.duplicate_of IS NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonRow:
    """A lesson with its provenance. `helped` and `hurt` count the jobs that recalled it and were accepted or not;
    `seen` how many jobs taught it, its near-duplicates included."""

    lesson: Lesson
    title: str  # of its job
    helped: int
    hurt: int
    seen: int
    duplicate_of: int | None
    quarantined_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Whose lessons are read: `owner` of rows, and whether the login sees those of `everybody`."""

    owner: str
    everybody: bool


def reader(database: Database) -> Reader:
    """Who this login is. Raises `DatabaseUnavailable`."""
    query = text("SELECT rolname, rolsuper OR rolbypassrls AS everybody FROM pg_roles WHERE rolname = SESSION_USER")
    with database.connect() as connection:
        row = connection.execute(query).one()
    return Reader(owner=row.rolname, everybody=row.everybody)


def read_lesson(database: Database, lesson: int) -> LessonRow:
    """One lesson. Raises `NoSuchLesson`, `DatabaseUnavailable`."""
    rows = read_lessons(database, [lesson])
    if not rows:
        raise NoSuchLesson(lesson)
    return rows[0]


def read_lessons(database: Database, lessons: Sequence[int]) -> tuple[LessonRow, ...]:
    """Those of `lessons` that the login may see, in the order asked for. Raises `DatabaseUnavailable`."""
    with database.connect() as connection:
        rows = connection.execute(text(_ROWS + "WHERE l.id = ANY(:lessons)"), {"lessons": list(lessons)}).all()
    by_number = {row.id: _row(row) for row in rows}
    return tuple(by_number[number] for number in lessons if number in by_number)


class StoredRecords:
    """Implements `LessonRecords`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def records(self, lessons: Sequence[int]) -> Mapping[int, Record]:
        """As the port has it."""
        query = text("SELECT id, helped, hurt FROM lessons WHERE id = ANY(:lessons)")
        with self._database.connect() as connection:
            rows = connection.execute(query, {"lessons": list(lessons)}).all()
        return {row.id: Record(helped=row.helped, hurt=row.hurt) for row in rows}

    def experience(self, owner: str, family: str) -> Experience:
        """As the port has it, of the last `LAST_JOBS` that ended by themselves."""
        given = {"owner": owner, "kinds": family.split("+"), "last": LAST_JOBS}
        with self._database.connect() as connection:
            rows = connection.execute(_EXPERIENCE, given).all()
        counts = {row.taught: Counts(solved=row.solved, failed=row.failed) for row in rows}
        return Experience(taught=counts.get(True, Counts()), without=counts.get(False, Counts()))


def indexed(database: Database) -> Iterator[Lesson]:
    """Every lesson that belongs in the index and that the login may see, the oldest first."""
    with database.connect() as connection:
        for row in connection.execute(text(f"{_ROWS}WHERE {_IN_THE_INDEX} ORDER BY l.id")):
            yield _lesson(row)


def quarantine(database: Database, lesson: int) -> datetime:
    """Takes a lesson out of the memory for good; since when it is out. Raises `NoSuchLesson`, `DatabaseUnavailable`."""
    with database.begin() as connection:
        since: datetime | None = connection.execute(text("SELECT redraft_quarantine(:l)"), {"l": lesson}).scalar_one()
    if since is None:
        raise NoSuchLesson(lesson)
    return since


class IndexDelivery:
    """The outbox's handlers that keep the index as Postgres says, whatever order they run in. Raises
    `MemoryUnavailable`."""

    def __init__(self, bank: MemoryBank) -> None:
        self._bank = bank

    def upsert(self, connection: Connection, payload: Mapping[str, Any]) -> None:
        """Adds a lesson, unless an earlier one says the same: then that one was seen once more."""
        row = connection.execute(
            text(f"{_ROWS}WHERE l.id = :lesson AND {_IN_THE_INDEX} FOR UPDATE OF l NOWAIT"),
            {"lesson": payload["lesson"]},
        ).one_or_none()
        if row is None:
            return self.remove(connection, payload)
        lesson = _lesson(row)
        near = self._bank.nearest(lesson)
        same = near is not None and near.similarity >= SAME and self._seen(connection, near.lesson.id, lesson.id)
        passing(CrashPoint.INDEXING)
        return self._bank.remove(lesson.id) if same else self._bank.upsert(lesson)

    def remove(self, _: Connection, payload: Mapping[str, Any]) -> None:
        """Takes a lesson out."""
        self._bank.remove(int(payload["lesson"]))

    @staticmethod
    def _seen(connection: Connection, earlier: int, lesson: int) -> bool:
        """Whether the earlier lesson still stands; then it counts one more, once, and the new one points to it."""
        stands = connection.execute(
            text(
                "UPDATE lessons SET seen = seen + 1 WHERE id = :earlier AND quarantined_at IS NULL "
                "AND duplicate_of IS NULL RETURNING 1"
            ),
            {"earlier": earlier},
        ).one_or_none()
        if stands is not None:
            connection.execute(
                text("UPDATE lessons SET duplicate_of = :earlier WHERE id = :lesson"),
                {"earlier": earlier, "lesson": lesson},
            )
        return stands is not None


def _lesson(row: Row[Any]) -> Lesson:
    return Lesson(
        id=row.id,
        job=row.job_id,
        owner=row.owner,
        family=row.family,
        kind=LessonKind(row.kind),
        situation=row.situation,
        advice=row.advice,
        avoid=row.avoid,
        evidence=row.evidence,
    )


def _row(row: Row[Any]) -> LessonRow:
    return LessonRow(
        lesson=_lesson(row),
        title=row.title,
        helped=row.helped,
        hurt=row.hurt,
        seen=row.seen,
        duplicate_of=row.duplicate_of,
        quarantined_at=row.quarantined_at,
        created_at=row.created_at,
    )
