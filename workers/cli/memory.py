"""`redraft memory`: the lessons of earlier jobs, their provenance, and whether they helped."""

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
    query: Annotated[str, typer.Argument(metavar="QUERY", help="A problem in words.")],
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Show at most this many.")] = 5,
    as_json: output.Json = False,
) -> None:
    """Search your lessons by meaning and by words, best first. --json: one object per line."""
    from tasks.errors import InvalidInput
    from workers.cli.client import connect

    if not query.strip():
        raise InvalidInput("QUERY", query, "some words that a lesson may be about")
    with connect() as client:
        matches = _bank().search(client.reader().owner, query, limit=limit)
        rows = {row.lesson.id: row for row in client.lessons([match.lesson.id for match in matches])}
    shown = [(rows[match.lesson.id], match.similarity) for match in matches if match.lesson.id in rows]
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
    """Show one lesson, its provenance, and whether it helped."""
    from workers.cli.client import connect

    with connect() as client:
        row = client.lesson(lesson)
    if as_json:
        output.emit(document(row))
        return
    quarantined_at = row.quarantined_at
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
            ("quarantined", quarantined_at.isoformat(timespec="seconds") if quarantined_at else "no"),
            ("created", row.created_at.isoformat(timespec="seconds")),
        ]
    )


@app.command()
def quarantine(lesson: LessonArgument, as_json: output.Json = False) -> None:
    """Remove one of your lessons from the memory for good; it stays in the database, with its provenance."""
    from workers.cli.client import connect

    with connect() as client:
        since = client.quarantine(lesson)
    if as_json:
        output.emit({"lesson": lesson, "quarantined_at": since})
    else:
        print(f"lesson {lesson} is quarantined; jobs that had recalled it go on with it")


@app.command()
def rebuild(as_json: output.Json = False) -> None:
    """Rebuild the index from the database: for all owners if the login may see them, else for your own lessons."""
    from workers.addresses import database_url
    from workers.cli.client import connect

    bank = _bank()
    with connect(database_url(admin=True)) as client:
        reader = client.reader()
        bank.clear(None if reader.everybody else reader.owner)
        count = 0
        for lesson in client.indexed_lessons():
            bank.upsert(lesson)
            count += 1
    if as_json:
        output.emit({"lessons": count, "owner": None if reader.everybody else reader.owner})
    else:
        output.line(f"{count} lessons are in the memory" + ("" if reader.everybody else f" of {reader.owner}"))


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
