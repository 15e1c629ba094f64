"""What a person tells a job, as commands; what becomes of it is tested with the store."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, JobSpec

pytestmark = pytest.mark.integration
SPEC = JobSpec(title="Sort", problem="Sort.", checks=(CheckSpec(name="answer", kind="answer", value=42),))
Admin = psycopg.Connection[tuple[object, ...]]
Redraft = Callable[..., Any]


@pytest.fixture
def job(ada: Database) -> int:
    return submit_jobs(ada, [SPEC])[0].job


def finish(admin: Admin, job: int, state: str, code: str = "gave_up") -> None:
    admin.execute("UPDATE jobs SET state = %s, stop_code = %s, finished_at = now() WHERE id = %s", (state, code, job))
    admin.execute("UPDATE leases SET runnable = false WHERE job_id = %s", (job,))


def test_a_hint_is_kept_for_the_next_iteration_and_shown(redraft: Redraft, job: int) -> None:
    said = redraft("hint", str(job), "Use a stable sort.")
    assert (said.code, said.out, said.err) == (0, f"job {job} is queued; its next iteration sees the hint\n", "")
    shown = redraft("show", str(job)).out
    assert "ada (person), " in shown
    assert ", not seen yet: Use a stable sort." in shown
    [hint] = json.loads(redraft("show", str(job), "--json").out)["hints"]
    assert (hint["by"], hint["source"], hint["text"], hint["iteration"]) == (
        "ada",
        "person",
        "Use a stable sort.",
        None,
    )
    assert "Use a stable sort." in redraft("report", str(job), "-o", "-").out


def test_a_hint_is_read_from_standard_input(redraft: Redraft, job: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Sort twice – once by name.\n".encode())))
    assert redraft("hint", str(job), "-").code == 0
    [hint] = json.loads(redraft("show", str(job), "--json").out)["hints"]
    assert hint["text"] == "Sort twice – once by name."


def test_standard_input_that_is_no_text_is_refused(redraft: Redraft, job: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ab\xff")))
    said = redraft("hint", str(job), "-")
    assert (said.code, said.err) == (2, "hint: 'byte 2 of standard input' is not allowed; text in UTF-8\n")


def test_an_unsolved_job_goes_on_and_one_without_budget_says_what_to_type(
    redraft: Redraft, admin: Admin, job: int
) -> None:
    finish(admin, job, "unsolved")
    said = redraft("hint", str(job), "Try a heap.")
    assert (said.code, said.out) == (0, f"job {job} was unsolved and goes on; its next iteration sees the hint\n")
    finish(admin, job, "unsolved", "budget_iterations")
    said = redraft("hint", str(job), "Try two heaps.", "--json")
    assert said.code == 0
    told = json.loads(said.out)
    assert (told["state"], told["reopened"]) == ("unsolved", False)
    assert "--budget iterations=60" in told["held_up"]


def test_a_paused_job_says_how_it_goes_on(redraft: Redraft, job: int) -> None:
    redraft("pause", str(job))
    assert f"`redraft resume {job}`" in redraft("hint", str(job), "Wait.").out


@pytest.mark.parametrize(
    ("number", "text", "why"),
    [("77", "x", "job 77: there is no such job"), ("", "", "hint: '' is not allowed; it needs some words")],
)
def test_bad_input_is_one_line(redraft: Redraft, job: int, number: str, text: str, why: str) -> None:
    said = redraft("hint", number or str(job), text)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(why)


def test_an_accepted_job_takes_none(redraft: Redraft, admin: Admin, job: int) -> None:
    finish(admin, job, "accepted", "accepted")
    said = redraft("hint", str(job), "Too late.")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert said.err.startswith(f"JOB: {job} is not allowed; it was accepted")


@pytest.fixture
def asking(admin: Admin, job: int) -> int:
    """A job that has asked."""
    admin.execute("UPDATE jobs SET state = 'needs_input', paused_at = now(), iterations = 1 WHERE id = %s", (job,))
    admin.execute("UPDATE leases SET runnable = false WHERE job_id = %s", (job,))
    admin.execute(
        "INSERT INTO iterations (job_id, number, operator, move, finished_at) VALUES (%s, 1, 'ask', '{}', now())",
        (job,),
    )
    admin.execute(
        "INSERT INTO questions (job_id, iteration, text, answer_until) "
        "VALUES (%s, 1, 'Ascending?', now() + interval '1 h')",
        (job,),
    )
    return job


def test_a_question_is_shown_and_ends_a_wait(redraft: Redraft, asking: int) -> None:
    said = redraft("wait", str(asking))
    assert (said.code, said.out) == (5, "")
    assert said.err.startswith(f"job {asking} asks: Ascending? (waits until ")
    assert f"`redraft answer {asking} TEXT`" in said.err
    assert json.loads(redraft("show", str(asking), "--json").out)["question"] == "Ascending?"
    assert "asks" in redraft("show", str(asking)).out
    assert f"job {asking} asks: Ascending?" in redraft("ls").err
    assert "asks: Ascending?" in redraft("history", str(asking)).out
    assert "rests already" in redraft("pause", str(asking)).err


def test_an_answer_lets_the_job_go_on_once(redraft: Redraft, asking: int) -> None:
    said = redraft("answer", str(asking), "Descending.")
    assert (said.code, said.out) == (0, f"job {asking} is queued; its next iteration sees the answer\n")
    said = redraft("answer", str(asking), "Descending.")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "it is queued, and asks nothing" in said.err
    [hint] = json.loads(redraft("show", str(asking), "--json").out)["hints"]
    assert (hint["question"], hint["text"]) == ("Ascending?", "Descending.")


def test_a_job_is_changed_and_the_change_is_shown(redraft: Redraft, job: int) -> None:
    said = redraft("edit", str(job), "--priority", "4", "--budget", "hours=2", "--tag", "b", "--tag", "a")
    assert (said.code, said.out) == (
        0,
        f"job {job} is queued: budget.hours 4 → 2, priority 0 → 4, tags none → b a\n",
    )
    [made] = json.loads(redraft("show", str(job), "--json").out)["edits"]
    assert (made["by"], made["before"]["priority"], made["after"]["priority"]) == ("ada", 0, 4)
    assert "by ada, " in redraft("show", str(job)).out
    assert redraft("edit", str(job), "--no-tags").out.endswith("tags b a → none\n")


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ((), "edit: '' is not allowed; name what is to change"),
        (("--priority", "101"), "priority: 101 is not allowed; a whole number from -100 to 100"),
        (("--budget", "hours=0"), "budget.hours: 0.0 is not allowed"),
        (("--tag", "a b"), "tags[0]: 'a b' is not allowed"),
        (("--tag", "a", "--no-tags"), "--no-tags"),
    ],
)
def test_a_change_that_is_not_allowed_is_one_line(redraft: Redraft, job: int, flags: tuple[str, ...], why: str) -> None:
    said = redraft("edit", str(job), *flags)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(why)
