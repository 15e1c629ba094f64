"""`redraft memory` over a real Postgres and the real embedded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tasks.memory.bank import QdrantBank
from tasks.memory.embedder import Embedder
from tasks.settings import load_settings

pytestmark = pytest.mark.integration
Admin = psycopg.Connection[tuple[object, ...]]
Redraft = Callable[..., Any]  # see the fixture `redraft`
MODEL = Embedder()


@pytest.fixture
def bank(memory_part: Callable[[], Any], redraft: Redraft, monkeypatch: pytest.MonkeyPatch) -> Iterator[QdrantBank]:
    """An empty memory that the command line is told of."""
    part = memory_part()
    monkeypatch.setenv("REDRAFT_MEMORY_URL", part.url)
    monkeypatch.setenv("REDRAFT_MEMORY_KEY", part.key)
    load_settings.cache_clear()
    made = QdrantBank(part.url, part.key, MODEL)
    yield made
    made.close()


def teach(admin: Admin, owner: str, situation: str, **fields: object) -> int:
    """A lesson as a job of `owner` leaves it."""
    row = admin.execute(
        """WITH job AS (INSERT INTO jobs (owner, spec_hash, title, problem, checks, strategy, lane, egress, budget_usd,
               budget_hours, budget_iterations, budget_tokens)
             VALUES (%(owner)s, '', 'Its job', 'p', '[{"kind": "answer", "name": "answer", "value": 1}]', 'correct',
                     'gpu', 'never', 1, 1, 1, 1) RETURNING id)
           INSERT INTO lessons (job_id, owner, family, kind, situation, advice, avoid, evidence, duplicate_of)
           SELECT id, %(owner)s, 'python', 'success', %(situation)s, 'count', '', 'job', %(of)s FROM job
           RETURNING id""",
        {"owner": owner, "situation": situation, "of": fields.get("duplicate_of")},
    ).fetchone()
    assert row is not None
    return int(str(row[0]))


def found(redraft: Redraft, query: str, *more: str) -> list[dict[str, Any]]:
    said = redraft("memory", "search", query, "--json", *more)
    assert said.code == 0, said.err
    return [json.loads(line) for line in said.out.splitlines()]


def test_rebuild_makes_the_index_from_the_database_and_search_finds_the_best_first(
    redraft: Redraft, admin: Admin, bank: QdrantBank
) -> None:
    vowels = teach(admin, "ada", "counting vowels in a text")
    teach(admin, "ada", "the mean of an empty list")
    teach(admin, "ada", "counting the vowels of a text", duplicate_of=vowels)
    for _ in range(2):
        assert json.loads(redraft("memory", "rebuild", "--json").out) == {"lessons": 2, "owner": "ada"}
    assert bank.count() == 2
    best, other = found(redraft, "how many vowels")
    assert (best["lesson"], best["when"], best["do"]) == (vowels, "counting vowels in a text", "count")
    assert best["similarity"] > other["similarity"]
    assert len(found(redraft, "how many vowels", "--limit", "1")) == 1
    assert "counting vowels in a text" in redraft("memory", "search", "vowels").out


def test_a_login_rebuilds_and_finds_its_own_lessons_only(redraft: Redraft, admin: Admin, bank: QdrantBank) -> None:
    for owner in ("ada", "bob"):
        teach(admin, owner, "counting vowels in a text")
    redraft("memory", "rebuild")
    assert [lesson["owner"] for lesson in found(redraft, "vowels")] == ["ada"]
    assert bank.count() == 1


def test_a_superuser_rebuilds_everybodys(
    redraft: Redraft, admin: Admin, bank: QdrantBank, urls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner in ("ada", "bob"):
        teach(admin, owner, "counting vowels in a text")
    monkeypatch.setenv("REDRAFT_DATABASE_URL", urls.admin)
    load_settings.cache_clear()
    assert json.loads(redraft("memory", "rebuild", "--json").out) == {"lessons": 2, "owner": None}
    assert bank.count() == 2


def test_show_tells_where_a_lesson_comes_from(redraft: Redraft, admin: Admin) -> None:
    lesson = teach(admin, "ada", "counting vowels in a text")
    shown = json.loads(redraft("memory", "show", str(lesson), "--json").out)
    assert (shown["title"], shown["helped"], shown["hurt"], shown["quarantined_at"]) == ("Its job", 0, 0, None)
    assert "counting vowels in a text" in redraft("memory", "show", str(lesson)).out


def test_a_quarantine_is_kept_once_and_told_to_the_memory(redraft: Redraft, admin: Admin) -> None:
    lesson = teach(admin, "ada", "counting vowels in a text")
    first = json.loads(redraft("memory", "quarantine", str(lesson), "--json").out)
    assert json.loads(redraft("memory", "quarantine", str(lesson), "--json").out) == first
    assert first["quarantined_at"] is not None
    assert admin.execute("SELECT topic, payload FROM outbox").fetchall() == [("memory.remove", {"lesson": lesson})]


@pytest.mark.parametrize("command", ["show", "quarantine"])
def test_somebody_elses_lesson_is_no_lesson_of_yours(redraft: Redraft, admin: Admin, command: str) -> None:
    lesson = teach(admin, "bob", "counting vowels in a text")
    said = redraft("memory", command, str(lesson))
    assert (said.code, said.out) == (2, "")
    assert f"lesson {lesson}: there is no such lesson of yours" in said.err
    assert admin.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def test_without_a_memory_search_says_what_to_do(redraft: Redraft) -> None:
    said = redraft("memory", "search", "vowels")
    assert said.code == 1
    assert "REDRAFT_MEMORY_URL" in said.err
