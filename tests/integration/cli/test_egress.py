"""`redraft egress`: word for word what left, and nothing of what did not."""

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
Admin = psycopg.Connection[tuple[object, ...]]
Redraft = Callable[..., Any]
OPEN = ("intent", "running", "waiting")
REQUEST = {"model": "gpt-5.4", "instructions": "Think.", "input": "What is six\ntimes seven?", "store": False}


@pytest.fixture
def job(ada: Database) -> int:
    spec = JobSpec(title="t", problem="p", checks=(CheckSpec(name="answer", kind="answer", value={"exact": "42"}),))
    return submit_jobs(ada, [spec])[0].job


def escalate(admin: Admin, job: int, iteration: int, state: str, finished: bool = True) -> None:
    admin.execute(
        """INSERT INTO escalations (job_id, iteration, kind, model, state, request, reserved_usd, usd, prompt_tokens,
               completion_tokens, response_id, error, finished_at)
           VALUES (%s, %s, 'answer', 'gpt-5.4', %s, %s, 0.5, 0.25, 1200, 900, 'resp_1', '', %s)""",
        (job, iteration, state, json.dumps(REQUEST), "2026-01-01" if finished else None),
    )


def test_a_job_that_sent_nothing_says_so(redraft: Redraft, job: int) -> None:
    said = redraft("egress", str(job))
    assert (said.code, said.out) == (0, f"nothing left: no word of job {job} was sent to the cloud\n")
    assert redraft("egress", str(job), "--json").out == ""


def test_what_was_never_sent_is_not_shown(redraft: Redraft, job: int, admin: Admin) -> None:
    escalate(admin, job, 3, "refused")
    escalate(admin, job, 4, "unsent")
    assert "nothing left" in redraft("egress", str(job)).out


@pytest.mark.parametrize("state", ["intent", "running", "waiting", "done", "failed", "unknown"])
def test_all_that_may_have_left_is_shown_with_its_words(redraft: Redraft, job: int, admin: Admin, state: str) -> None:
    escalate(admin, job, 3, state, finished=state not in OPEN)
    said = redraft("egress", str(job))
    assert said.code == 0
    heading = said.out.splitlines()[0]
    assert f"iteration 3 · answer of gpt-5.4 · {state}" in heading
    assert ("$0.50 reserved" if state in OPEN else "$0.25, 1.2k tokens in, 900 out") in heading
    assert "instructions:\nThink.\n" in said.out
    assert "input:\nWhat is six\ntimes seven?\n" in said.out
    assert "store  false" in said.out


def test_json_is_one_object_a_line_with_the_body_that_was_sent(redraft: Redraft, job: int, admin: Admin) -> None:
    escalate(admin, job, 3, "failed")
    escalate(admin, job, 5, "done")
    found = [json.loads(line) for line in redraft("egress", str(job), "--json").out.splitlines()]
    assert [(row["iteration"], row["state"]) for row in found] == [(3, "failed"), (5, "done")]
    assert found[0]["request"] == REQUEST
    assert (found[0]["usd"], found[0]["response_id"]) == (0.25, "resp_1")


def test_another_owner_s_job_is_none(redraft: Redraft, admin: Admin, urls: Any) -> None:
    spec = JobSpec(title="t", problem="p", checks=(CheckSpec(name="answer", kind="answer", value={"exact": "42"}),))
    with Database(urls.bob, pool=1) as bob:
        other = submit_jobs(bob, [spec])[0].job
    assert redraft("egress", str(other)).code == 2
