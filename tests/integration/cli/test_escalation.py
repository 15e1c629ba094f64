"""`redraft escalation`, and what `doctor`, `status` and `show` say of requests to the cloud and their providers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tasks.settings import load_settings
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, JobSpec
from tests.integration.cli.conftest import Urls

pytestmark = pytest.mark.integration
Admin = psycopg.Connection[tuple[object, ...]]
Redraft = Callable[..., Any]


@pytest.fixture
def job(ada: Database, admin: Admin) -> int:
    """A job with a request whose cost nobody knows."""
    spec = JobSpec(title="t", problem="p", checks=(CheckSpec(name="answer", kind="answer", value={"exact": "42"}),))
    job = submit_jobs(ada, [spec])[0].job
    admin.execute(
        """INSERT INTO escalations (job_id, iteration, kind, model, state, request, reserved_usd, usd, prompt_tokens,
               completion_tokens, error, finished_at)
           VALUES (%(job)s, 3, 'answer', 'gpt-5.4', 'unknown', '{}', 0.5, 0.5, 1200, 900, 'it hung up', now())""",
        {"job": job},
    )
    admin.execute(
        """INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text,
               finish_reason, prompt_tokens, cached_tokens, completion_tokens, usd, seconds, worker, epoch)
           VALUES (%(job)s, 3, 'escalate', 0, 1, 'gpt-5.4', '{}', '', '', 'lost', 1200, 0, 900, 0.5, 0, 'w', 1)""",
        {"job": job},
    )
    admin.execute("UPDATE jobs SET spent_usd = 0.5, cloud_tokens = 2100 WHERE id = %s", (job,))
    return job


@pytest.fixture
def operator(redraft: Redraft, urls: Urls, monkeypatch: pytest.MonkeyPatch) -> Redraft:
    """`redraft` with a login that may write for every job."""
    monkeypatch.setenv("REDRAFT_DATABASE_URL", urls.admin)
    load_settings.cache_clear()
    return redraft


def test_requests_are_listed_with_where_they_stand(redraft: Redraft, job: int) -> None:
    said = redraft("escalation", "ls")
    assert said.code == 0
    assert "nobody knows whether it was answered (it hung up); charged in full, $0.50" in said.out
    (listed,) = [
        json.loads(line)
        for line in redraft("escalation", "ls", str(job), "--unknown", "--json").out.split("\n")
        if line
    ]
    assert (listed["job"], listed["iteration"], listed["state"], listed["usd"]) == (job, 3, "unknown", 0.5)
    assert redraft("escalation", "ls", str(job + 1), "--json").out == ""


def test_a_job_shows_its_requests(redraft: Redraft, job: int) -> None:
    assert "iteration 3, answer: nobody knows whether" in redraft("show", str(job)).out
    (listed,) = json.loads(redraft("show", str(job), "--json").out)["escalations"]
    assert listed["says"].startswith("nobody knows")


def test_the_operator_settles_once(operator: Redraft, job: int) -> None:
    said = operator("escalation", "settle", str(job), "3", "--usd", "0.125", "--tokens", "900")
    assert said.code == 0, said.err
    assert f"job {job}, iteration 3: $0.12 and 900 tokens instead of $0.50, settled by" in said.out
    again = operator("escalation", "settle", str(job), "3", "--usd", "0")
    assert (again.code, again.out) == (2, "")
    assert "settled it at" in again.err
    assert "0.1250 USD, 900 tokens" in again.err
    cost = json.loads(operator("cost", "--json").out)
    assert (cost["usd"], cost["prompt_tokens"] + cost["completion_tokens"]) == (0.125, 900)
    assert json.loads(operator("show", str(job), "--json").out)["spend"]["usd"] == 0.125


@pytest.mark.parametrize("usd", ["-1", "much", "nan", "inf", "0.0000001", "100001"])
def test_a_bill_is_a_number_of_dollars(operator: Redraft, job: int, usd: str) -> None:
    said = operator("escalation", "settle", str(job), "3", f"--usd={usd}")
    assert said.code == 2
    assert said.err.startswith("--usd: ")
    assert len(said.err.splitlines()) == 1


def test_an_owner_is_told_that_it_takes_an_operator(redraft: Redraft, job: int) -> None:
    said = redraft("escalation", "settle", str(job), "3", "--usd", "0")
    assert said.code == 2
    assert "only an operator" in said.err


def test_doctor_lists_what_nobody_knows_and_the_circuits(operator: Redraft, job: int, admin: Admin) -> None:
    admin.execute(
        """INSERT INTO providers (provider, faults, why, opened_at, open_until)
           VALUES ('api.openai.com', 5, 'the cloud answered 429', now(), now() + interval '50 s')"""
    )
    lines = operator("doctor").out.splitlines()
    (unknown,) = [line for line in lines if line.split()[1] == "unknown"]
    assert f"job {job}, iteration 3, answer of gpt-5.4" in unknown
    assert f"redraft escalation settle {job} 3 --usd X" in unknown
    (circuit,) = [line for line in lines if line.split()[1] == "circuit"]
    assert "api.openai.com: open since" in circuit
    assert "after 5 faults in a row (the cloud answered 429)" in circuit
    status = operator("status")
    assert "circuit of api.openai.com: open since" in status.err
    (shown,) = json.loads(operator("status", "--json").out)["circuits"]
    assert (shown["provider"], shown["faults"]) == ("api.openai.com", 5)
