"""cancel, pause and resume for all jobs with a tag: which they are is said first, and nothing else is touched."""

from __future__ import annotations

import dataclasses
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
def jobs(ada: Database, admin: Admin) -> list[int]:
    """Five jobs: three of the night, of which the second runs and the third has ended; one of another tag; one of the
    night and of that tag."""
    tags = (("night",), ("night",), ("night",), ("day",), ("day", "night"))
    numbers = [one.job for one in submit_jobs(ada, [dataclasses.replace(SPEC, tags=tag) for tag in tags])]
    admin.execute("UPDATE jobs SET state = 'running' WHERE id = %s", (numbers[1],))
    admin.execute("UPDATE leases SET worker = 'w' WHERE job_id = %s", (numbers[1],))
    admin.execute("UPDATE jobs SET state = 'accepted', finished_at = now() WHERE id = %s", (numbers[2],))
    admin.execute("UPDATE leases SET runnable = false WHERE job_id = %s", (numbers[2],))
    return numbers


def states(admin: Admin) -> list[object]:
    return [state for (state,) in admin.execute("SELECT state FROM jobs ORDER BY id").fetchall()]


UNTOUCHED = ["queued", "running", "accepted", "queued", "queued"]
WHICH = "cancel 3 jobs with tag night (2 queued, 1 running): 1, 2, 5"


@pytest.mark.usefixtures("jobs")
def test_nothing_is_cancelled_by_tag_where_nobody_can_be_asked(redraft: Redraft, admin: Admin) -> None:
    said = redraft("cancel", "--tag", "night")
    assert (said.code, said.out) == (2, "")
    assert said.err == (
        f"--tag: 'night' is not allowed; nobody can be asked whether to {WHICH}; --yes does it, --dry-run lists them\n"
    )
    assert states(admin) == UNTOUCHED


@pytest.mark.usefixtures("jobs")
def test_a_dry_run_lists_the_jobs_and_changes_none(redraft: Redraft, admin: Admin) -> None:
    said = redraft("cancel", "--tag", "night", "--dry-run")
    assert (said.code, said.err) == (0, f"would {WHICH}; nothing is changed\n")
    assert [line.split("\t")[:2] for line in said.out.splitlines()[1:]] == [
        ["1", "queued"],
        ["2", "running"],
        ["5", "queued"],
    ]
    listed = redraft("pause", "--tag", "night", "--dry-run", "--json").out.splitlines()
    assert [json.loads(line)["job"] for line in listed] == [1, 2, 5]
    assert states(admin) == UNTOUCHED


@pytest.mark.usefixtures("jobs")
def test_with_yes_the_unfinished_ones_are_cancelled_and_each_is_told(redraft: Redraft, admin: Admin) -> None:
    said = redraft("cancel", "--tag", "night", "--yes")
    assert (said.code, said.err) == (0, f"{WHICH}\n")
    assert said.out == "job 1 is cancelled\njob 2 is running; its worker was told to stop\njob 5 is cancelled\n"
    assert states(admin) == ["cancelled", "running", "accepted", "queued", "cancelled"]


@pytest.mark.usefixtures("jobs")
def test_several_tags_are_those_of_one_job_as_ls_has_it(redraft: Redraft, admin: Admin) -> None:
    said = redraft("cancel", "--tag", "night", "--tag", "day", "--yes", "--json")
    assert [json.loads(line) for line in said.out.splitlines()] == [{"job": 5, "state": "cancelled"}]
    assert states(admin) == [*UNTOUCHED[:4], "cancelled"]


@pytest.mark.usefixtures("jobs")
def test_a_night_is_paused_and_resumed_without_a_question(redraft: Redraft, admin: Admin) -> None:
    said = redraft("pause", "--tag", "night")
    assert (said.code, said.err) == (0, "pause 3 jobs with tag night (2 queued, 1 running): 1, 2, 5\n")
    assert states(admin) == ["paused", "running", "accepted", "queued", "paused"]
    again = redraft("pause", "--tag", "night")
    assert (again.code, again.out, again.err) == (0, "", "nothing to pause: no job with tag night waits or runs\n")
    said = redraft("resume", "--tag", "night")
    assert said.err == "resume 3 jobs with tag night (2 paused, 1 running): 1, 2, 5\n"
    assert states(admin) == UNTOUCHED


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cancel",), "JOB: '' is not allowed; the numbers of jobs, or --tag T for all jobs with a tag"),
        (("cancel", "1", "--tag", "night", "--yes"), "JOB: '1 --tag night' is not allowed; the numbers of jobs, or"),
        (("cancel", "--tag", "nihgt", "--yes"), "--tag: 'nihgt' is not allowed; a tag of one of your jobs"),
        (("resume", "--tag", "night", "--tag", "moon"), "--tag: 'night and moon' is not allowed; a tag of one of your"),
        (("pause", "1", "--dry-run"), "--dry-run: '1' is not allowed; given with --tag"),
    ],
)
def test_what_could_mean_other_jobs_is_refused(
    redraft: Redraft, admin: Admin, arguments: tuple[str, ...], said: str
) -> None:
    told = redraft(*arguments)
    assert (told.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert told.err.startswith(said)
    assert states(admin) == UNTOUCHED


def test_whose_jobs_they_are_is_said_where_a_login_sees_several_owners(
    redraft: Redraft, jobs: list[int], urls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Database(urls.bob, pool=1) as bob:
        submit_jobs(bob, [dataclasses.replace(SPEC, tags=("night",))])
    monkeypatch.setenv("REDRAFT_DATABASE_URL", urls.admin)
    assert "cancel 4 jobs of 2 owners, ada, bob, with tag night" in redraft("cancel", "--tag", "night", "--dry-run").err
    monkeypatch.setenv("REDRAFT_DATABASE_URL", urls.ada)
    assert f"would {WHICH};" in redraft("cancel", "--tag", "night", "--dry-run").err
    assert len(jobs) == 5
