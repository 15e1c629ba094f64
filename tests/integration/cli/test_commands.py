"""The commands on a real Postgres: exit codes, JSON, and what people read."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, JobSpec
from workers.cli.sql import VIEWS

pytestmark = pytest.mark.integration

SPEC = JobSpec(title="Add", problem="Add.", checks=(CheckSpec(name="answer", kind="answer", value=42),), tags=("t",))
Admin = psycopg.Connection[tuple[object, ...]]
Redraft = Callable[..., Any]


@pytest.fixture
def job(ada: Database) -> int:
    return submit_jobs(ada, [SPEC])[0].job


def finish(admin: Admin, job: int, state: str, answer: str | None = "the answer") -> None:
    admin.execute(
        "UPDATE jobs SET state = %s, reason = 'why', answer = %s, answer_iteration = 1, score = 0.5, iterations = 1,"
        " started_at = now(), finished_at = now(), acceptance = CASE WHEN %s = 'accepted' THEN 'verified' END"
        " WHERE id = %s",
        (state, answer, state, job),
    )


def record(admin: Admin, job: int) -> None:
    admin.execute(
        "INSERT INTO iterations (job_id, number, operator, move, decision, best_slot, score, worker, epoch,"
        " finished_at) VALUES (%s, 1, 'draft', '{}', 'revise (1.0)', 0, 0.5, 'w', 1, now())",
        (job,),
    )
    admin.execute(
        "INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision)"
        " VALUES (%s, 1, 0, 'draft', 'print(1)', 1, 0, 0)",
        (job,),
    )
    admin.execute(
        "INSERT INTO verdicts (job_id, iteration, slot, check_name, ordinal, kind, held_out, passed, score, feedback,"
        " seconds, worker, epoch) VALUES (%s, 1, 0, 'answer', 0, 'answer', false, false, 0, 'not 42', 0, 'w', 1)",
        (job,),
    )


def test_ls_and_show_give_the_documents_of_the_contract(redraft: Redraft, job: int) -> None:
    shown = json.loads(redraft("show", str(job), "--json").out)
    assert shown["job"] == job
    assert (shown["state"], shown["owner"], shown["tags"], shown["acceptance"]) == ("queued", "ada", ["t"], None)
    assert shown["spend"] == {"usd": 0.0, "local_tokens": 0, "cloud_tokens": 0}
    (listed,) = [json.loads(line) for line in redraft("ls", "--json").out.splitlines()]
    assert set(shown) - set(listed) == {"answer", "batch_spend", "held_up", "escalations", "hints", "edits"}
    assert redraft("ls", "--json", "--state", "accepted").out == ""


def test_ls_says_which_jobs_wait_for_a_model(redraft: Redraft, ada: Database) -> None:
    job = submit_jobs(ada, [dataclasses.replace(SPEC, model="large")])[0].job
    assert f"job {job}: no worker serves model large now\n" in redraft("ls").err


def test_ls_shows_the_newest_first_and_says_where_more_are(redraft: Redraft, ada: Database) -> None:
    submit_jobs(ada, [SPEC] * 3)
    said = redraft("ls", "--limit", "2")
    assert [line.split("\t")[0] for line in said.out.splitlines()] == ["job", "3", "2"]
    assert "--limit shows more" in said.err


def test_show_is_for_people_without_json(redraft: Redraft, job: int) -> None:
    said = redraft("show", str(job))
    assert said.code == 0
    assert f"job         {job}" in said.out
    assert "answer      none yet" in said.out
    assert "crashes     none" in said.out


def test_show_says_what_crashes_cost_and_why_the_last_came(redraft: Redraft, admin: Admin, job: int) -> None:
    admin.execute(
        "INSERT INTO crashes (job_id, epoch, worker, why, calls, tokens, tokens_at_most, seconds, seconds_at_most) "
        "VALUES (1, 1, 'w', 'a kill', 2, 70, 900, 1.5, 12), (1, 2, 'w', 'a hang', 1, 5, 99, 0.25, 3)"
    )
    said = redraft("show", str(job)).out
    assert "crashes     2; calls in flight lost: 3 (75 to 999 tokens, 1.8 to 15.0 s); the last: a hang" in said
    document = json.loads(redraft("show", str(job), "--json").out)
    assert document["crash_bill"] == document["lost_work"]  # its old name
    assert document["lost_work"] == {
        "crashes": 2,
        "calls": 3,
        "tokens": 75,
        "tokens_at_most": 999,
        "seconds": 1.75,
        "seconds_at_most": 15,
        "why": "a hang",
    }


def test_a_judged_result_says_what_its_judges_are_worth(redraft: Redraft, admin: Admin, job: int) -> None:
    finish(admin, job, "accepted")
    assert "judged by" not in redraft("show", str(job)).out
    admin.execute("UPDATE jobs SET acceptance = 'judged', answer_slot = 1")
    for slot, vote, word in ((1, 1, "PASS"), (1, 2, "FAIL"), (1, 3, "PASS"), (0, 4, "PASS")):
        admin.execute(
            "INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text,"
            " finish_reason, prompt_tokens, cached_tokens, completion_tokens, seconds, usd, worker, epoch, step,"
            " check_name, vote) VALUES (%s, 1, 'judge', %s, 1, 'some-model', '{}', 'h', %s, 'stop', 1, 0, 1, 0, 0,"
            " 'w', 1, 'verdict', 'judge', %s)",
            (job, slot, word, vote),
        )
    told = "some-model, 2 votes in a row: never measured (`redraft bench judges` does)"
    assert f"judged by   {told}\n" in redraft("show", str(job)).out
    assert told in redraft("report", str(job), "-o", "-").out
    judged_by = json.loads(redraft("show", str(job), "--json").out)["judged_by"]
    assert (judged_by["model"], judged_by["votes"], judged_by["right"]) == ("some-model", 2, None)
    assert json.loads(redraft("ls", "--json").out)["judged_by"] == judged_by


@pytest.mark.parametrize("command", ["show", "result", "history", "cancel", "wait", "watch", "pause", "export"])
def test_a_job_that_is_not_there_is_bad_input(redraft: Redraft, command: str) -> None:
    said = redraft(command, "999")
    assert (said.code, said.out) == (2, "")
    assert said.err == "job 999: there is no such job of yours; `redraft ls` lists them\n"


@pytest.mark.parametrize(
    ("state", "code"), [("accepted", 0), ("failed", 1), ("unsolved", 3), ("quarantined", 3), ("cancelled", 4)]
)
def test_wait_and_result_exit_as_the_job_ended(redraft: Redraft, admin: Admin, job: int, state: str, code: int) -> None:
    finish(admin, job, state)
    waited, result = redraft("wait", str(job)), redraft("result", str(job))
    assert (waited.code, waited.out) == (code, "")
    assert (result.code, result.out) == (code, "the answer\n")
    assert bool(waited.err) == bool(result.err) == (code != 0)


def test_result_of_an_unfinished_job_is_the_best_so_far_with_a_note(redraft: Redraft, admin: Admin, job: int) -> None:
    none = redraft("result", str(job))
    assert (none.code, none.out) == (5, "")
    assert "no answer yet" in none.err
    admin.execute("UPDATE jobs SET state = 'running', answer = 'so far', answer_iteration = 2, score = 0.25")
    best = redraft("result", str(job))
    assert (best.code, best.out) == (5, "so far\n")
    assert best.err == f"job {job} is running: the best so far (iteration 2, score 0.25)\n"
    assert json.loads(redraft("result", str(job), "--json").out)["answer"] == "so far"


def test_wait_gives_up_at_its_timeout(redraft: Redraft, job: int) -> None:
    said = redraft("wait", str(job), "--timeout", "0.2")
    assert (said.code, said.err) == (5, f"job {job} is queued\n")


@pytest.fixture
def later(admin: Admin) -> Iterator[Callable[[float, Callable[[], None]], None]]:
    """Does something a moment from now, from another thread."""
    timers: list[threading.Timer] = []

    def start(seconds: float, action: Callable[[], None]) -> None:
        timers.append(threading.Timer(seconds, action))
        timers[-1].start()

    yield start
    for timer in timers:
        timer.join()


def test_watch_streams_changes_until_the_job_is_finished(
    redraft: Redraft, admin: Admin, job: int, later: Callable[..., None]
) -> None:
    later(0.7, lambda: finish(admin, job, "accepted"))
    said = redraft("watch", "--json")
    states = [json.loads(line)["state"] for line in said.out.splitlines()]
    assert (states, said.code) == (["queued", "accepted"], 0)


def test_watch_in_a_pipe_writes_a_line_for_each_change(redraft: Redraft, admin: Admin, job: int) -> None:
    finish(admin, job, "unsolved")
    said = redraft("watch", str(job))
    assert said.out.startswith(f"job {job} · unsolved · iteration 1 of 30 · score 0.50 · why · ")
    assert said.out.count("\n") == 1


def test_watch_without_unfinished_jobs_says_so(redraft: Redraft) -> None:
    said = redraft("watch")
    assert (said.code, said.out) == (0, "")
    assert "no job is unfinished" in said.err


def test_history_is_one_object_an_iteration(redraft: Redraft, admin: Admin, job: int) -> None:
    assert "no iteration yet" in redraft("history", str(job)).err
    record(admin, job)
    (row,) = [json.loads(line) for line in redraft("history", str(job), "--json").out.splitlines()]
    fields = [
        "iteration",
        "operator",
        "model",
        "candidate",
        "score",
        "value",
        "improved",
        "guard",
        "let_through",
        "behaviour",
        "inputs",
        "hint",
        "repeated_tokens",
        "verdicts",
        "prompt_tokens",
    ]
    fields += ["cached_tokens", "completion_tokens", "usd", "seconds", "worker", "epoch", "decision", "stop_code"]
    fields += ["omissions", "question", "hints", "set_aside"]
    assert list(row) == fields
    verdict = {"check": "answer", "passed": False, "held_out": False, "score": 0.0, "feedback": "not 42"}
    assert row["verdicts"] == [{**verdict, "isolation": "", "value": None, "metrics": {}}]
    assert "-answer" in redraft("history", str(job)).out
    assert "print(1)" in redraft("history", str(job), "--full").out


def test_cancel_ends_a_waiting_job_and_leaves_a_finished_one(redraft: Redraft, admin: Admin, ada: Database) -> None:
    one, two = (made.job for made in submit_jobs(ada, [SPEC, SPEC]))
    finish(admin, two, "accepted")
    said = redraft("cancel", str(one), str(two))
    assert (said.code, said.out, said.err) == (
        0,
        f"job {one} is cancelled\n",
        f"job {two} had finished before: accepted\n",
    )
    lines = [json.loads(line) for line in redraft("cancel", str(one), str(two), "--json").out.splitlines()]
    assert lines == [{"job": one, "state": "cancelled"}, {"job": two, "state": "accepted"}]


def test_sql_prints_a_table_or_an_object_a_row(redraft: Redraft, job: int) -> None:
    query = "SELECT job, state, tags, usd FROM job_summary"
    assert redraft("sql", query).out == f'job\tstate\ttags\tusd\n{job}\tqueued\t["t"]\t0.000000\n'
    (row,) = [json.loads(line) for line in redraft("sql", query, "--json").out.splitlines()]
    assert row == {"job": job, "state": "queued", "tags": ["t"], "usd": 0.0}
    assert json.loads(redraft("sql", "SELECT 'NaN'::float AS x", "--json").out) == {"x": None}


@pytest.mark.parametrize("query", ["SELECT nothing", "DROP TABLE jobs", "SELECT 1; SELECT 2", ""])
def test_wrong_sql_is_one_line_and_exit_2(redraft: Redraft, query: str) -> None:
    said = redraft("sql", query)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize(
    "view",
    VIEWS,
)
def test_every_documented_view_can_be_read(redraft: Redraft, view: str) -> None:
    said = redraft("sql", f"SELECT * FROM {view}")
    assert (said.code, said.err) == (0, "")


def test_db_says_where_the_schema_is_and_a_person_cannot_change_it(redraft: Redraft, urls: Any) -> None:
    current = json.loads(redraft("db", "current", "--json").out)
    assert current["revision"] == current["head"]
    assert redraft("db", "upgrade", "--url", urls.admin).out == f"{current['head']} (nothing to do)\n"
    wrong = redraft("db", "upgrade", "nowhere", "--url", urls.admin)
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("revision: 'nowhere' is not allowed; ")
    refused = redraft("db", "downgrade", "base", "--yes")
    assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)


def test_db_upgrades_and_downgrades_an_empty_database(redraft: Redraft, empty_database: str) -> None:
    head = json.loads(redraft("db", "upgrade", "--url", empty_database, "--json").out)
    assert head["before"] is None
    assert redraft("db", "downgrade", "base", "--yes", "--url", empty_database).out.startswith("no schema (was ")
    assert "no schema; this release is written for" in redraft("db", "current", "--url", empty_database).out


def test_without_a_schema_one_line_says_what_to_run(
    redraft: Redraft, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.settings import load_settings

    monkeypatch.setenv("REDRAFT_DATABASE_URL", empty_database)
    load_settings.cache_clear()
    said = redraft("ls")
    assert (said.code, said.out) == (1, "")
    assert said.err == "the database has no schema of this release; run `redraft db upgrade`\n"


def test_bytes_that_are_not_utf8_are_bad_input(redraft: Redraft) -> None:
    said = redraft("ls", "--tag", "\udcff")
    assert (said.code, said.err.count("\n")) == (2, 1)
