"""pause, resume, retry and fork as a person calls them; what they do to a job is tested with the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, JobSpec

pytestmark = pytest.mark.integration
SPEC = JobSpec(title="Add", problem="Add.", checks=(CheckSpec(name="answer", kind="answer", value=42),))
Admin = psycopg.Connection[tuple[object, ...]]
Redraft = Callable[..., Any]


@pytest.fixture
def job(ada: Database) -> int:
    return submit_jobs(ada, [SPEC])[0].job


def finish(admin: Admin, job: int, state: str) -> None:
    admin.execute("UPDATE jobs SET state = %s, finished_at = now() WHERE id = %s", (state, job))
    admin.execute("UPDATE leases SET runnable = false WHERE job_id = %s", (job,))


def test_a_waiting_job_is_paused_and_resumed(redraft: Redraft, job: int) -> None:
    said = redraft("pause", str(job))
    assert (said.code, said.out, said.err) == (0, f"job {job} is paused\n", "")
    assert json.loads(redraft("show", str(job), "--json").out)["state"] == "paused"
    said = redraft("resume", str(job), "--json")
    assert (said.code, json.loads(said.out)) == (0, {"job": job, "state": "queued"})


def test_a_held_job_is_told_to_pause(redraft: Redraft, admin: Admin, job: int) -> None:
    admin.execute("UPDATE jobs SET state = 'running'")
    admin.execute("UPDATE leases SET worker = 'w'")
    assert redraft("pause", str(job)).out == f"job {job} is running; its worker was told to pause it\n"
    assert json.loads(redraft("show", str(job), "--json").out)["pause_requested"] is True
    assert redraft("resume", str(job)).out == f"job {job} is running\n"
    assert json.loads(redraft("show", str(job), "--json").out)["pause_requested"] is False


def test_a_finished_job_is_neither_paused_nor_resumed(redraft: Redraft, admin: Admin, job: int) -> None:
    finish(admin, job, "failed")
    said = redraft("pause", str(job))
    assert (said.code, said.out, said.err) == (0, "", f"job {job} had finished before: failed\n")
    assert f"`redraft retry {job}` lets it go on" in redraft("resume", str(job)).err


def test_retry_queues_a_failed_job_and_refuses_an_accepted_one(redraft: Redraft, admin: Admin, job: int) -> None:
    finish(admin, job, "failed")
    assert redraft("retry", str(job)).out == f"job {job} is queued\n"
    finish(admin, job, "accepted")
    said = redraft("retry", str(job))
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"JOB: {job} is not allowed; it was accepted: there is nothing to try again")


def test_retry_of_a_job_whose_budget_is_spent_says_what_to_type(redraft: Redraft, admin: Admin, job: int) -> None:
    finish(admin, job, "unsolved")
    admin.execute("UPDATE jobs SET iterations = budget_iterations")
    said = redraft("retry", str(job))
    assert (said.code, said.err) == (
        2,
        "budget: 'iterations=30' is not allowed; that is spent; give more: "
        f"`redraft retry {job} --budget iterations=60`\n",
    )
    wrong = redraft("retry", str(job), "--budget", "iterations=0")
    assert (wrong.code, wrong.err) == (
        2,
        "budget.iterations: 0 is not allowed; a whole number from 1 to 10,000\n",
    )
    said = redraft("retry", str(job), "--budget", "iterations=60,usd=0.1", "--json")
    assert said.err.startswith("budget.usd: '0.1' is not allowed; at least the 2 that it has")
    said = redraft("retry", str(job), "--budget", "iterations=60", "--json")
    assert json.loads(said.out) == {"job": job, "state": "queued"}


def test_fork_prints_the_new_jobs_number(redraft: Redraft, admin: Admin, job: int) -> None:
    none = redraft("fork", str(job), "--from", "1")
    assert (none.code, none.out) == (2, "")
    assert none.err == f"--from: 1 is not allowed; job {job} has recorded no iteration yet\n"
    admin.execute("UPDATE jobs SET iterations = 1")
    admin.execute(
        "INSERT INTO iterations (job_id, number, operator, move, finished_at) VALUES (%s, 1, 'draft', '{}', now())",
        (job,),
    )
    assert redraft("fork", str(job), "--from", "1").out == f"{job + 1}\n"
    said = redraft("fork", str(job), "--from", "1", "--strategy", "best_of_n", "--seed", "9", "--json")
    assert json.loads(said.out) == {"job": job + 2, "forked_from": job, "forked_iteration": 1}
    shown = json.loads(
        redraft("sql", "SELECT strategy, seed FROM job_summary ORDER BY job", "--json").out.split("\n")[2]
    )
    assert shown == {"strategy": "best_of_n", "seed": 9}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fork", "1"), "Missing option '--from'"),
        (("fork", "1", "--from", "0"), "Invalid value for '--from'"),
        (("fork", "1", "--from", "1", "--strategy", "corect"), "did you mean 'correct'?"),
        (("fork", "1", "--from", "1", "--seed", "-1"), "seed: -1 is not allowed; a whole number from 0"),
        (
            ("fork", "1", "--from", "1", "--budget", "pounds=1"),
            "budget.pounds: 1 is not allowed; there is no such field",
        ),
        (("fork", "999", "--from", "1"), "job 999: there is no such job of yours"),
        (("retry", "999"), "job 999: there is no such job of yours"),
        (("pause", "999"), "job 999: there is no such job of yours"),
        (("resume", "999"), "job 999: there is no such job of yours"),
    ],
)
def test_bad_input_is_one_line_and_stores_nothing(
    redraft: Redraft, admin: Admin, arguments: tuple[str, ...], said: str
) -> None:
    told = redraft(*arguments)
    assert (told.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert said in told.err
    assert admin.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
