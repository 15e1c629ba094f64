"""`redraft compare` on a real Postgres: jobs one by one, groups by tag, the points of a sweep."""

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


def put(ada: Database, admin: Admin, tag: str, ends: list[str]) -> list[int]:
    """Jobs of problems 0, 1, 2 … with this tag, of which each has ended so; each used 100 tokens and 60 seconds."""
    specs = [dataclasses.replace(SPEC, problem=f"Add {n}.", tags=(tag,)) for n in range(len(ends))]
    numbers = [one.job for one in submit_jobs(ada, specs)]
    for number, state in zip(numbers, ends, strict=True):
        if state != "queued":
            admin.execute(
                "UPDATE jobs SET state = %s, started_at = now() - interval '70 s', finished_at = now(),"
                " idle_seconds = 10, local_tokens = 90, cloud_tokens = 10, spent_usd = 0.5, iterations = 2"
                " WHERE id = %s",
                (state, number),
            )
    return numbers


@pytest.fixture
def night(ada: Database, admin: Admin) -> dict[str, list[int]]:
    return {
        "old": put(ada, admin, "old", ["accepted", "unsolved", "unsolved", "failed", "cancelled", "queued"]),
        "new": put(ada, admin, "new", ["accepted", "accepted", "accepted", "failed", "accepted", "accepted"]),
    }


def test_groups_are_compared_over_the_problems_that_ended_on_both_sides(
    redraft: Redraft, night: dict[str, list[int]]
) -> None:
    old, new = json.loads(redraft("compare", "--tag", "old", "--tag", "new", "--json").out)["groups"]
    assert (old["name"], old["jobs"], old["ended"], old["unfinished"], old["cancelled"]) == (
        "old",
        night["old"],
        4,
        1,
        1,
    )
    assert (old["rate"]["value"], old["solved"], old["difference"]) == (0.25, 1, None)
    assert (old["tokens"], old["tokens_per_solved"], old["usd"]) == (100, 400, 0.5)
    assert old["seconds"] == pytest.approx(60, abs=1)
    assert (new["rate"]["value"], new["problems"], new["shared"]) == (pytest.approx(5 / 6), 6, 4)
    assert new["difference"]["value"] == pytest.approx(0.5)  # problems 1 and 2 of the four that ended on both sides
    assert 0 <= new["difference"]["low"] < 0.5 < new["difference"]["high"] <= 1


@pytest.mark.usefixtures("night")
def test_the_table_says_what_is_left_out_and_over_what_a_difference_is(redraft: Redraft) -> None:
    said = redraft("compare", "--tag", "old", "--tag", "new")
    head, old, new = (line.split("\t") for line in said.out.splitlines())
    assert head == ["group", "solved", "problems", "%", "- first", "tokens", "seconds", "usd"]
    assert (old[:3], old[4:]) == (["old", "1 of 4", "4"], ["-", "100", "60", "$0.50"])
    assert old[3].startswith("25 (0 to ")
    assert new[4].startswith("+50 (+")
    assert "1 jobs have not ended and are left out" in said.err
    assert "1 cancelled jobs are left out" in said.err
    assert "new - old: over the 4 problems of both" in said.err


def test_the_points_of_a_sweep_are_its_groups(redraft: Redraft, admin: Admin, tmp_path: Any) -> None:
    (tmp_path / "sum.md").write_text("---\nchecks: [{answer: 4}]\n---\nAdd two and two.\n")
    assert redraft("submit", "sum.md", "--sweep", "strategy=correct,ladder", "--seeds", "4", "--key", "k").code == 0
    admin.execute("UPDATE jobs SET state = 'unsolved', started_at = now(), finished_at = now()")
    admin.execute("UPDATE jobs SET state = 'accepted' WHERE strategy = 'ladder'")
    [(name,)] = admin.execute("SELECT DISTINCT substr(tags[1], 7) FROM jobs").fetchall()
    said = redraft("compare", "--sweep", str(name))
    rows = [line.split("\t") for line in said.out.splitlines()[1:]]
    assert [row[:2] for row in rows] == [["correct", "0 of 4"], ["ladder", "4 of 4"]]
    assert rows[0][2] == "0 (0 to 49)"  # Wilson, 0 of 4
    assert rows[1][2:4] == ["100 (51 to 100)", "+100 (+31 to +100)"]  # Newcombe: 1 - hypot(0.49, 0.49)
    assert "of one problem alone: the intervals say nothing of others" in said.err


def test_jobs_are_compared_one_by_one(redraft: Redraft, night: dict[str, list[int]]) -> None:
    first, second = night["old"][0], night["new"][1]
    said = redraft("compare", str(first), str(second))
    rows = [line.split("\t") for line in said.out.splitlines()[1:]]
    assert [(row[0], row[1], row[4], row[5], row[7]) for row in rows] == [
        (str(first), "accepted", "100", "60", "correct"),
        (str(second), "accepted", "100", "60", "correct"),
    ]
    documents = json.loads(redraft("compare", str(first), str(second), "--json").out)["jobs"]
    assert [one["job"] for one in documents] == [first, second]


@pytest.mark.usefixtures("night")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "JOB: '' is not allowed; either numbers of jobs, or --tag for each group, or --sweep NAME"),
        (("1", "--tag", "old"), "JOB: '' is not allowed; either numbers of jobs"),
        (("--tag", "old", "--tag", "odl"), "--tag: 'odl' is not allowed; a tag of one of your jobs"),
        (("--tag", "old,new"), "--tag: 'old,new' is not allowed; a tag of one of your jobs, or several that one of"),
        (("--sweep", "k"), "--sweep: 'k' is not allowed; the name of a sweep of yours"),
        (("1", "999"), "job 999: there is no such job of yours"),
    ],
)
def test_bad_input_is_one_line(redraft: Redraft, arguments: tuple[str, ...], said: str) -> None:
    told = redraft("compare", *arguments)
    assert (told.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert told.err.startswith(said)


def test_a_group_of_which_nothing_has_ended_has_no_rate(redraft: Redraft, ada: Database, admin: Admin) -> None:
    put(ada, admin, "old", ["queued"])
    put(ada, admin, "new", ["accepted", "accepted"])
    said = redraft("compare", "--tag", "old", "--tag", "new")
    rows = [line.split("\t") for line in said.out.splitlines()[1:]]
    assert rows[0][1:] == ["0 of 0", "0", "-", "-", "-", "-", "-"]
    assert rows[1][4] == "-"
