"""`redraft db prune` on a real Postgres: what goes is exported, what anything still rests on stays."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tasks.archive import content
from tasks.errors import PruneRefused
from tasks.store.prune import prune
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import BatchBudget, CheckSpec, JobSpec

pytestmark = pytest.mark.integration
SPEC = JobSpec(
    title="Add",
    problem="Add.",
    checks=(CheckSpec(name="answer", kind="answer", value="2"),),
)
Admin = psycopg.Connection[tuple[object, ...]]
Redraft = Callable[..., Any]


@pytest.fixture
def old(ada: Database, admin: Admin) -> list[int]:
    """Five jobs that ended forty days ago, each with an iteration, a candidate, a verdict, a call and an event."""
    jobs = [job.job for job in submit_jobs(ada, [SPEC] * 5)]
    for number in jobs:
        admin.execute(
            "INSERT INTO iterations (job_id, number, operator, move, decision, best_slot, score, finished_at)"
            " VALUES (%s, 1, 'draft', '{}', 'stop', 0, 0.5, now() - interval '40 days')",
            (number,),
        )
        admin.execute(
            "INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision,"
            " score, checked) VALUES (%s, 1, 0, 'draft', 'ü', 1, 0, 0, 0.5, true)",
            (number,),
        )
        admin.execute(
            "INSERT INTO verdicts (job_id, iteration, slot, check_name, ordinal, kind, held_out, passed, score,"
            " feedback, seconds, worker, epoch) VALUES (%s, 1, 0, 'answer', 0, 'answer', false, false, 0.5, 'no', 0,"
            " 'w', 1)",
            (number,),
        )
        admin.execute(
            "INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text,"
            " finish_reason, prompt_tokens, cached_tokens, completion_tokens, usd, seconds, worker, epoch, created_at)"
            " VALUES (%s, 1, 'draft', 0, 1, 'small', '{}', 'h', 'x', 'stop', 100, 40, 10, 0.25, 2, 'w', 1,"
            " now() - interval '40 days')",
            (number,),
        )
    end(admin, jobs, "unsolved")
    return jobs


def end(admin: Admin, jobs: Sequence[int], state: str, days: int = 40) -> None:
    admin.execute(
        "UPDATE jobs SET state = %s, finished_at = now() - make_interval(days => %s), spent_usd = 0.25,"
        " local_tokens = 110, lesson_due = false WHERE id = ANY(%s)",
        (state, days, list(jobs)),
    )
    admin.execute("UPDATE leases SET runnable = false WHERE job_id = ANY(%s)", (list(jobs),))


def left(admin: Admin) -> list[int]:
    return [int(str(number)) for (number,) in admin.execute("SELECT id FROM jobs ORDER BY id").fetchall()]


@pytest.fixture
def pruned(redraft: Redraft, urls: Any, tmp_path: Path) -> Callable[..., Any]:
    def call(*arguments: str) -> Any:
        to = () if "--dry-run" in arguments else ("--to", str(tmp_path / "out"), "--yes")
        return redraft("db", "prune", "--url", urls.admin, "--older-than", "30d", *to, *arguments)

    return call


def test_what_goes_is_kept_whole_and_hashed_before_it_is_deleted(
    pruned: Callable[..., Any], redraft: Redraft, old: list[int], admin: Admin, tmp_path: Path
) -> None:
    young = redraft("submit", str(_job_file(tmp_path))).out.strip()
    said = pruned()
    assert (said.code, said.out) == (0, f"5 jobs exported to {tmp_path / 'out'} and deleted\n"), said.err
    assert "`redraft cost` will no longer count their $1.25" in said.err
    assert left(admin) == [int(young)]
    for table in ("iterations", "candidates", "verdicts", "calls"):
        assert admin.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    [entry] = map(json.loads, (tmp_path / "out" / "manifest.jsonl").read_text().splitlines())
    path = tmp_path / "out" / entry["file"]
    assert (entry["jobs"], content(path)) == (old, (entry["rows"], entry["sha256"]))
    rows = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    kept = {(row["table"], row["row"].get("job_id", row["row"].get("id"))): row["row"] for row in rows}
    for job in old:
        assert kept["jobs", job]["title"] == "Add"
        assert kept["candidates", job]["text"] == "ü"
        assert kept["verdicts", job]["feedback"] == "no"
        assert kept["calls", job]["completion_tokens"] == 10
        assert ("leases", job) in kept


def test_a_dry_run_says_what_would_go_and_changes_nothing(
    pruned: Callable[..., Any], old: list[int], admin: Admin, tmp_path: Path
) -> None:
    end(admin, old[:1], "accepted", days=3)
    said = pruned("--dry-run", "--json")
    goes = json.loads(said.out)
    assert (goes["jobs"], goes["deleted"], goes["usd"], goes["rows"]["calls"]) == (4, 0, 1.0, 4)
    assert left(admin) == old
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE jobs SET state = 'paused', finished_at = NULL", None),
        ("UPDATE jobs SET state = 'needs_input', finished_at = NULL", None),
        ("UPDATE jobs SET lesson_due = true", "work on it goes on"),
        ("UPDATE calls SET created_at = now()", "work on it goes on"),
        (
            "INSERT INTO outbox (job_id, topic, payload) SELECT id, 'memory.upsert', '{}' FROM jobs",
            "work on it goes on",
        ),
        (
            "INSERT INTO escalations (job_id, iteration, kind, model, state, request, finished_at)"
            " SELECT id, 1, 'answer', 'm', 'unknown', '{}', now() FROM jobs",
            "a request to the cloud is not settled",
        ),
        (
            "INSERT INTO lessons (job_id, owner, kind, situation, advice, avoid, evidence)"
            " SELECT id, owner, 'success', 's', 'a', '', 'e' FROM jobs",
            "its lesson is in use",
        ),
    ],
)
def test_what_anything_rests_on_stays(
    pruned: Callable[..., Any], old: list[int], admin: Admin, change: str, why: str | None
) -> None:
    admin.execute(change)
    said = pruned("--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert (told["jobs"], told["deleted"], told["kept"]) == (0, 0, {why: 5} if why else {})
    assert left(admin) == old


def test_lessons_go_with_their_jobs_where_that_is_asked_for(
    pruned: Callable[..., Any], old: list[int], admin: Admin, tmp_path: Path
) -> None:
    admin.execute(
        "INSERT INTO lessons (job_id, owner, kind, situation, advice, avoid, evidence)"
        " SELECT id, owner, 'success', 's', 'a', '', 'e' FROM jobs"
    )
    said = pruned("--with-lessons")
    assert "redraft memory rebuild" in said.err
    assert (left(admin), admin.execute("SELECT count(*) FROM lessons").fetchone()) == ([], (0,))


def test_a_batch_stays_whole_while_one_of_its_jobs_goes_on(
    pruned: Callable[..., Any], ada: Database, old: list[int], admin: Admin
) -> None:
    jobs = [job.job for job in submit_jobs(ada, [SPEC] * 2, pool=BatchBudget(tokens=1000))]
    end(admin, jobs[:1], "unsolved")
    assert json.loads(pruned("--json").out)["kept"] == {"others of its batch have not ended": 1}
    assert left(admin) == jobs


def test_a_batch_that_is_not_kept_is_not_deleted_and_those_before_it_are(
    urls: Any, old: list[int], admin: Admin
) -> None:
    before, kept = datetime.now(UTC) - timedelta(days=30), []

    def keep(jobs: Sequence[int], rows: Iterator[str]) -> None:
        kept.append((list(jobs), len(list(rows))))
        if len(kept) == 2:
            raise PruneRefused("the disk is full")

    with Database(urls.admin, pool=1) as database, pytest.raises(PruneRefused):
        prune(database, before, keep, most=2)
    assert [jobs for jobs, _ in kept] == [old[:2], old[2:4]]
    assert left(admin) == old[2:]


def test_rows_that_were_not_exported_are_not_deleted(urls: Any, old: list[int], admin: Admin) -> None:
    def half(jobs: Sequence[int], rows: Iterator[str]) -> None:
        next(rows)

    with Database(urls.admin, pool=1) as database, pytest.raises(PruneRefused, match="were exported"):
        prune(database, datetime.now(UTC) - timedelta(days=30), half)
    assert left(admin) == old


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--older-than", "3w", "--to", "x"), "--older-than: '3w' is not allowed; a number of days"),
        (("--before", "May", "--to", "x"), "--before: 'May' is not allowed; a day as YYYY-MM-DD"),
        (("--before", "2999-01-01", "--to", "x"), "a moment at least a day ago"),
        (("--to", "x"), "either a day, or --older-than"),
        (("--older-than", "30d"), "--to: '' is not allowed; a folder"),
        (("--older-than", "30d", "--yes", "--to", "file/x"), "--to: 'file/x' is not allowed; a folder that can be wr"),
    ],
)
def test_a_prune_that_cannot_be_is_one_line(
    redraft: Redraft, urls: Any, old: list[int], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "file").write_text("")
    told = redraft("db", "prune", "--url", urls.admin, *arguments)
    assert (told.code, told.out) == (2, ""), told.err
    assert said in told.err.splitlines()[-1]


def _job_file(folder: Path) -> Path:
    path = folder / "p.md"
    path.write_text("---\nchecks: [{answer: 2}]\n---\nAdd.\n")
    return path
