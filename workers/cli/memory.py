"""`redraft memory`: what earlier jobs taught, where it comes from, and whether it helped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import output

if TYPE_CHECKING:
    from tasks.memory.bank import QdrantBank
    from tasks.store.lesson_queries import LessonRow

app = typer.Typer()
LARGEST = 2**63 - 1
LessonArgument = Annotated[int, typer.Argument(metavar="LESSON", min=1, max=LARGEST, help="The lesson's number.")]


@app.command()
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A problem, in words.")],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 5,
    as_json: output.Json = False,
) -> None:
    """Find lessons of yours by meaning and by words, the best first. --json: one object a line."""
    from tasks.errors import InvalidInput
    from tasks.store.lesson_queries import read_lessons, reader
    from workers.cli.database import open_database

    if not query.strip():
        raise InvalidInput("QUERY", query, "some words that a lesson may be about")
    with open_database() as database:
        found = _bank().search(reader(database).owner, query, limit=limit)
        rows = {row.lesson.id: row for row in read_lessons(database, [match.lesson.id for match in found])}
    shown = [(rows[match.lesson.id], match.similarity) for match in found if match.lesson.id in rows]
    if as_json:
        for row, similarity in shown:
            output.emit_line({**document(row), "similarity": round(similarity, 4)})
        return
    if not shown:
        output.note("no lesson is kept; jobs leave one when they end")
        return
    columns = ("lesson", "kind", "like", "job", "helped", "hurt", "when", "do", "avoid")
    lines = [_line(row, similarity) for row, similarity in shown]
    output.table(columns, lines, right=("lesson", "like", "job", "helped", "hurt"))


@app.command()
def show(lesson: LessonArgument, as_json: output.Json = False) -> None:
    """Show one lesson, where it comes from, and whether it helped."""
    from tasks.store.lesson_queries import read_lesson
    from workers.cli.database import open_database

    with open_database() as database:
        row = read_lesson(database, lesson)
    if as_json:
        output.emit(document(row))
        return
    out = row.quarantined_at
    output.pairs(
        [
            ("lesson", str(row.lesson.id)),
            ("kind", str(row.lesson.kind)),
            ("family", row.lesson.family),
            ("when", row.lesson.situation),
            ("do", row.lesson.advice or "-"),
            ("avoid", row.lesson.avoid or "-"),
            ("evidence", row.lesson.evidence),
            ("job", f"{row.lesson.job} {row.title}"),
            ("recalled", f"by {row.helped} jobs that were accepted and {row.hurt} that were not"),
            ("seen", f"{row.seen} times"),
            ("same as", f"lesson {row.duplicate_of}" if row.duplicate_of else "-"),
            ("quarantined", out.isoformat(timespec="seconds") if out else "no"),
            ("created", row.created_at.isoformat(timespec="seconds")),
        ]
    )


@app.command()
def quarantine(lesson: LessonArgument, as_json: output.Json = False) -> None:
    """Take a lesson of yours out of the memory for good; it stays in the database, with its provenance."""
    from tasks.store import lesson_queries
    from workers.cli.database import open_database

    with open_database() as database:
        since = lesson_queries.quarantine(database, lesson)
    if as_json:
        output.emit({"lesson": lesson, "quarantined_at": since})
    else:
        print(f"lesson {lesson} is quarantined; jobs that had recalled it go on with it")


@app.command()
def rebuild(as_json: output.Json = False) -> None:
    """Make the index anew from the database: of every owner where the login sees all, else your own lessons."""
    from tasks.store.lesson_queries import indexed, reader
    from tasks.store.session import Database
    from workers.cli.database import database_url

    bank = _bank()
    with Database(database_url(admin=True), name="redraft cli", pool=2) as database:
        who = reader(database)
        bank.clear(None if who.everybody else who.owner)
        count = 0
        for lesson in indexed(database):
            bank.upsert(lesson)
            count += 1
    if as_json:
        output.emit({"lessons": count, "owner": None if who.everybody else who.owner})
    else:
        output.line(f"{count} lessons are in the memory" + ("" if who.everybody else f" of {who.owner}"))


def document(row: LessonRow) -> dict[str, Any]:
    """A lesson as `--json` writes it."""
    return {
        "lesson": row.lesson.id,
        "kind": str(row.lesson.kind),
        "family": row.lesson.family,
        "when": row.lesson.situation,
        "do": row.lesson.advice,
        "avoid": row.lesson.avoid,
        "evidence": row.lesson.evidence,
        "job": row.lesson.job,
        "title": row.title,
        "owner": row.lesson.owner,
        "helped": row.helped,
        "hurt": row.hurt,
        "seen": row.seen,
        "duplicate_of": row.duplicate_of,
        "quarantined_at": row.quarantined_at,
        "created_at": row.created_at,
    }


def _bank() -> QdrantBank:
    """The memory. Raises `MemoryUnavailable` where there is none."""
    from tasks.errors import MemoryUnavailable
    from tasks.settings import load_settings
    from workers.addresses import memory_bank

    bank = memory_bank(load_settings())
    if bank is None:
        raise MemoryUnavailable("there is no memory; start the stack with `redraft up`, or set REDRAFT_MEMORY_URL")
    return bank


def _line(row: LessonRow, similarity: float) -> tuple[str, ...]:
    lesson = row.lesson
    counted = (f"{similarity:.2f}", str(lesson.job), str(row.helped), str(row.hurt))
    return (str(lesson.id), str(lesson.kind), *counted, lesson.situation, lesson.advice, lesson.avoid)
