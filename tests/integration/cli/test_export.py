"""export, report, diff and cost on a real Postgres with a job that two iterations have been recorded for."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from arro3.io import read_parquet

from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, JobSpec

pytestmark = pytest.mark.integration
CHECKS = (
    CheckSpec(name="python:seen.py", kind="python", value="seen.py", files={"seen.py": "assert 1"}),
    CheckSpec(
        name="python:hidden.py", kind="python", value="hidden.py", files={"hidden.py": "assert 2"}, held_out=True
    ),
)
SPEC = JobSpec(title="Add, with commas", problem="Add.", checks=CHECKS, tags=("a", "b"))
Admin = psycopg.Connection[tuple[object, ...]]
Redraft = Callable[..., Any]


@pytest.fixture
def job(ada: Database, admin: Admin) -> int:
    number = submit_jobs(ada, [SPEC])[0].job
    for iteration, text in ((1, "a = 1\nb = 2\n"), (2, "a = 1\nb = 3\n")):
        admin.execute(
            "INSERT INTO iterations (job_id, number, operator, move, decision, best_slot, score, finished_at)"
            " VALUES (%s, %s, 'draft', '{}', 'draft (1 slots)', 0, 0.5, now())",
            (number, iteration),
        )
        admin.execute(
            "INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision,"
            " score, checked) VALUES (%s, %s, 0, 'draft', %s, %s, 0, 0, 0.5, true)",
            (number, iteration, text, iteration),
        )
        admin.execute(
            "INSERT INTO verdicts (job_id, iteration, slot, check_name, ordinal, kind, held_out, passed, score,"
            " feedback, seconds, worker, epoch) VALUES (%s, %s, 0, 'python:seen.py', 0, 'python', false, false, 0.5,"
            " 'no', 0, 'w', 1)",
            (number, iteration),
        )
        admin.execute(
            "INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text,"
            " finish_reason, prompt_tokens, cached_tokens, completion_tokens, usd, seconds, worker, epoch, created_at)"
            " VALUES (%s, %s, 'draft', 0, 1, 'small', '{}', 'h', 'x', 'stop', 100, 40, 10, 0, 2, 'w', 1, %s)",
            (number, iteration, f"2026-01-0{iteration}T23:30:00Z"),
        )
    admin.execute(
        "UPDATE jobs SET iterations = 2, answer = 'x', answer_iteration = 1, answer_slot = 0, score = 0.5,"
        " local_tokens = 220"
    )
    return number


def test_state_is_all_that_the_next_iteration_is_built_from(redraft: Redraft, job: int) -> None:
    said = redraft("export", str(job))
    state = json.loads(said.out)
    assert (said.code, said.err) == (0, "")
    assert state["schema"] == "redraft.state/1"
    assert [check["held_out"] for check in state["spec"]["checks"]] == [False, True]
    assert state["spec"]["checks"][1]["files"] == {"hidden.py": "assert 2"}
    assert [i["candidates"][0]["text"] for i in state["history"]] == ["a = 1\nb = 2\n", "a = 1\nb = 3\n"]
    assert state["history"][0]["candidates"][0]["verdicts"][0]["feedback"] == "no"
    assert state["incumbent"] == {"iteration": 1, "slot": 0, "score": 0.5, "value": None}
    assert (state["lessons"], state["open"]) == (None, None)
    assert state["spend"]["local_tokens"] == 220
    assert state["next"] == {
        "move": "revise",
        "parents": [{"iteration": 2, "slot": 0}],
        "analyse": False,
        "why": "",
        "words": "revise (2.0)",
    }


def test_state_of_all_jobs_is_a_line_each(redraft: Redraft, ada: Database, job: int) -> None:
    other = submit_jobs(ada, [SPEC])[0].job
    documents = [json.loads(line) for line in redraft("export", "--all").out.splitlines()]
    assert [document["job"] for document in documents] == [job, other]
    assert documents[1]["next"]["move"] == "draft"


def test_jsonl_is_an_object_an_iteration_and_csv_a_row_a_job(redraft: Redraft, job: int, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in redraft("export", str(job), "--format", "jsonl").out.splitlines()]
    assert [(row["job"], row["iteration"], row["prompt_tokens"]) for row in rows] == [(job, 1, 100), (job, 2, 100)]
    path = tmp_path / "jobs.csv"
    said = redraft("export", "--all", "--format", "csv", "-o", str(path))
    assert (said.code, said.out) == (0, "")
    (row,) = csv.DictReader(io.StringIO(path.read_text()))
    assert (row["job"], row["title"], row["tags"], row["spend_local_tokens"], row["budget_iterations"]) == (
        str(job), "Add, with commas", "a b", "220", "30",
    )  # fmt: skip
    assert json.loads(redraft("export", str(job), "--format", "csv", "--json").out)["title"] == "Add, with commas"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "JOB: None is not allowed; a job's number, or --all"),
        (("1", "--all"), "JOB: 1 is not allowed; a job's number, or --all"),
        (("--all", "--format", "xml"), "--format: 'xml' is not allowed; one of state, jsonl, csv, parquet"),
        (("--all", "-o", "no/such/folder"), "-o: 'no/such/folder' is not allowed; it cannot be written: No such file"),
        (("999",), "job 999: there is no such job of yours"),
    ],
)
def test_an_export_that_cannot_be_is_one_line(redraft: Redraft, arguments: tuple[str, ...], said: str) -> None:
    told = redraft("export", *arguments)
    assert (told.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert said in told.err


def test_parquet_works_from_the_plain_install_and_needs_a_file(redraft: Redraft, job: int, tmp_path: Path) -> None:
    without_file = redraft("export", str(job), "--format", "parquet")
    assert (without_file.code, without_file.out) == (2, "")
    path = tmp_path / "iterations.parquet"
    said = redraft("export", str(job), "--format", "parquet", "-o", str(path))
    assert (said.code, said.out, said.err) == (0, "", "")
    rows = read_parquet(str(path)).read_all()
    assert (rows["iteration"].to_pylist(), rows["prompt_tokens"].to_pylist()) == ([1, 2], [100, 100])
    assert rows["candidate"].to_pylist() == ["a = 1\nb = 2\n", "a = 1\nb = 3\n"]
    assert [verdict["feedback"] for verdict in rows["verdicts"].to_pylist()[0]] == ["no"]
    full = redraft("export", str(job), "--format", "parquet", "-o", "/dev/full")
    assert (full.code, full.err) == (
        2,
        "-o: '/dev/full' is not allowed; it cannot be written: No space left on device\n",
    )


def test_diff_shows_what_changed_between_the_best_candidates(redraft: Redraft, job: int) -> None:
    said = redraft("diff", str(job), "1", "2")
    assert said.code == 0
    assert said.out == (
        "--- iteration 1 (draft, score 0.50)\n+++ iteration 2 (draft, score 0.50)\n"
        "@@ -1,2 +1,2 @@\n a = 1\n-b = 2\n+b = 3\n"
    )
    assert json.loads(redraft("diff", str(job), "1", "2", "--json").out)["equal"] is False
    same = redraft("diff", str(job), "2", "2")
    assert (same.code, same.out, same.err) == (0, "", "the best candidates of iterations 2 and 2 are equal\n")
    wrong = redraft("diff", str(job), "1", "3")
    assert (wrong.code, wrong.err) == (2, "M: 3 is not allowed; a recorded iteration, from 1 to 2\n")


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("job", [(1, 260, 0.0), (2, 1200, 0.25)]),
        ("owner", [("ada", 1460, 0.25)]),
        ("model", [("large", 1200, 0.25), ("small", 260, 0.0)]),
        ("day", [("2026-01-01", 110, 0.0), ("2026-01-02", 1350, 0.25)]),
    ],
)
def test_cost_adds_up_calls_and_escalations(
    redraft: Redraft, ada: Database, admin: Admin, job: int, by: str, groups: list[tuple[object, int, float]]
) -> None:
    other = submit_jobs(ada, [SPEC])[0].job
    admin.execute(
        "INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text,"
        " finish_reason, usd, prompt_tokens, cached_tokens, completion_tokens, seconds, worker, epoch, "
        "created_at) VALUES"
        " (%s, 3, 'escalate', 0, 1, 'large', '{}', 'h', '', 'stop', 0.25, 1000, 0, 200, 1, 'w', 1,"
        " '2026-01-02T00:00:00Z')",
        (other,),
    )
    admin.execute("UPDATE calls SET completion_tokens = 50 WHERE job_id = %s AND iteration = 2", (job,))
    rows = [json.loads(line) for line in redraft("cost", "--by", by, "--json").out.splitlines()]
    assert [(row[by], row["prompt_tokens"] + row["completion_tokens"], row["usd"]) for row in rows] == groups
    said = redraft("cost", "--by", by)
    assert len(said.out.splitlines()) == 1 + len(groups)
    total, estimate = said.err.splitlines()
    assert total == "in all 1.5k tokens and $0.25"
    assert estimate.startswith("an estimate: the same tokens by gpt-5.4 alone would have cost $0.0")
    sums = sum(row["cloud_only_usd_estimate"] for row in rows)
    assert 0.003 < sums < 0.01


def test_cost_by_what_there_is_not(redraft: Redraft) -> None:
    said = redraft("cost", "--by", "week")
    assert (said.code, said.err) == (2, "--by: 'week' is not allowed; one of job, owner, model, day, batch, help\n")
    assert redraft("cost", "--json").out == ""


def test_report_is_one_file_of_html(redraft: Redraft, job: int, tmp_path: Path) -> None:
    assert redraft("report", str(job)).out == f"job-{job}.html\n"
    made = (tmp_path / f"job-{job}.html").read_text()
    assert "Add, with commas" in made
    assert "b = 3" in made
    assert redraft("report", str(job), "-o", "-").out.startswith("<!doctype html>")
    said = redraft("report", str(job), "-o", "other.html", "--json")
    assert json.loads(said.out) == {"job": job, "file": "other.html"}
    wrong = redraft("report", str(job), "-o", "no/such/folder.html")
    assert (wrong.code, wrong.out, wrong.err.count("\n")) == (2, "", 1)


def test_a_report_of_all_is_a_folder_whose_index_leads_to_each_page(
    redraft: Redraft, job: int, ada: Database, tmp_path: Path
) -> None:
    other = submit_jobs(ada, [dataclasses.replace(SPEC, title="<b>bold</b>", tags=("x",))])[0].job
    assert redraft("report", "--all").out == "report/index.html\n"
    index = (tmp_path / "report/index.html").read_text()
    assert f'<a href="job-{other}.html">{other}</a>' in index
    assert "&lt;b&gt;bold&lt;/b&gt;" in index
    assert {path.name for path in (tmp_path / "report").iterdir()} == {
        "index.html",
        f"job-{job}.html",
        f"job-{other}.html",
    }
    assert "b = 3" in (tmp_path / f"report/job-{job}.html").read_text()
    said = redraft("report", "--all", "--tag", "x", "-o", "mine", "--json")
    assert json.loads(said.out) == {"jobs": 1, "file": "mine/index.html"}
    for arguments in (
        ("report",),
        ("report", "1", "--all"),
        ("report", "1", "--tag", "x"),
        ("report", "--all", "-o", "-"),
    ):
        wrong = redraft(*arguments)
        assert (wrong.code, wrong.out, wrong.err.count("\n")) == (2, "", 1), arguments


def test_a_report_says_how_long_engine_and_checks_worked_at_once(redraft: Redraft, admin: Admin, job: int) -> None:
    # Calls of 2 s that overlap by one, and the checks of both candidates in the last half second of them and one more.
    admin.execute("UPDATE calls SET created_at = timestamptz '2026-01-01Z' + make_interval(secs => iteration + 1)")
    admin.execute("UPDATE verdicts SET seconds = 1.5, created_at = '2026-01-01T00:00:04Z'")
    said = "the engine was at work 75% of the time, checks ran 38% of it, both at once 12%"
    assert said in redraft("report", str(job), "-o", "-").out
