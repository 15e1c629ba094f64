"""`redraft submit --sweep`: every point of the sweep is stored with its tags, or none is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.integration
Admin = psycopg.Connection[tuple[object, ...]]
Redraft = Callable[..., Any]
JOB = "---\nchecks: [{answer: 4}]\nbudget: {tokens: 1000, hours: 1, iterations: 3}\n---\nAdd two and two.\n"
SWEEP = ("--sweep", "strategy=correct,ladder", "--sweep", "temperature=0.6,0.9", "--seeds", "3")


@pytest.fixture(autouse=True)
def problem(tmp_path: Path) -> Path:
    path = tmp_path / "sum.md"
    path.write_text(JOB)
    return path


def test_a_sweep_stores_each_point_and_seed_with_its_tags(redraft: Redraft, admin: Admin) -> None:
    said = redraft("submit", "sum.md", *SWEEP)
    assert (said.code, len(said.out.splitlines())) == (0, 12)
    rows = admin.execute("SELECT strategy, temperature, seed, memory, tags FROM jobs ORDER BY id").fetchall()
    assert [row[:4] for row in rows] == [
        (strategy, temperature, seed, False)
        for strategy in ("correct", "ladder")
        for temperature in (0.6, 0.9)
        for seed in range(3)
    ]
    name = str(rows[0][4][0]).removeprefix("sweep:")  # type: ignore[index]
    assert rows[-1][4] == [f"sweep:{name}", f"{name}/ladder/0.9"]
    assert f"sweep {name}: 12 jobs, 4 points with 3 seeds; `redraft compare --sweep {name}` compares them" in said.err
    assert redraft("ls", "--tag", f"{name}/ladder/0.9", "--json").out.count("\n") == 3


def test_a_dry_run_says_how_many_jobs_a_point_is_and_what_they_cost_at_most(redraft: Redraft, admin: Admin) -> None:
    said = redraft("submit", "sum.md", *SWEEP, "--dry-run")
    lines = [line.split("\t") for line in said.out.splitlines()]
    assert [line[0] for line in lines[1:]] == [
        "3 at strategy correct, temperature 0.6",
        "3 at strategy correct, temperature 0.9",
        "3 at strategy ladder, temperature 0.6",
        "3 at strategy ladder, temperature 0.9",
        "all",
    ]
    assert [line[3:6] for line in lines[1:]] == [["3,000", "3", "9"]] * 4 + [["12,000", "12", "36"]]
    assert "12 jobs, 4 points with 3 seeds" in said.err
    documents = [
        json.loads(line) for line in redraft("submit", "sum.md", *SWEEP, "--dry-run", "--json").out.splitlines()
    ]
    assert (len(documents), documents[-1]["tokens"]) == (13, 12_000)
    assert admin.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        ("temperature=0.6,3", "sum.md at temperature 3: temperature: 3.0 is not allowed; a number from 0 to 2"),
        (
            "temperature=0.6,warm",
            "sum.md at temperature warm: temperature: 'warm' is not allowed; a number from 0 to 2",
        ),
        ("strategy=correct,corect", "sum.md at strategy corect: strategy: 'corect' is not allowed; one of"),
        ("lane=gpu,cloud", "sum.md at lane cloud: lane: 'cloud' is not allowed; one of gpu, fast"),
        ("memory=true,maybe", "sum.md at memory maybe: memory: 'maybe' is not allowed; true or false"),
    ],
)
def test_one_point_that_is_not_allowed_stores_none(redraft: Redraft, admin: Admin, axis: str, said: str) -> None:
    told = redraft("submit", "sum.md", "--sweep", axis)
    assert (told.code, told.out, told.err.count("\n")) == (2, "", 1)
    assert told.err.startswith(said)
    assert admin.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def test_what_is_wrong_at_every_seed_is_said_once(redraft: Redraft) -> None:
    told = redraft("submit", "sum.md", "--sweep", "temperature=0.6,3", "--seeds", "5")
    assert (told.code, told.err.count("\n")) == (2, 1)


def test_the_same_key_gives_the_same_sweep_back(redraft: Redraft, admin: Admin) -> None:
    first = redraft("submit", "sum.md", *SWEEP, "--key", "k")
    again = redraft("submit", "sum.md", *SWEEP, "--key", "k")
    assert (again.code, again.out) == (0, first.out)
    assert admin.execute("SELECT count(*), count(DISTINCT key) FROM jobs").fetchone() == (12, 12)


def test_a_job_keeps_the_temperature_that_it_names(redraft: Redraft, admin: Admin) -> None:
    redraft("submit", "sum.md", "--temperature", "0")
    redraft("submit", "sum.md")
    assert admin.execute("SELECT temperature FROM jobs ORDER BY id").fetchall() == [(0.0,), (None,)]
    assert json.loads(redraft("export", "1", "--format", "state").out)["spec"]["temperature"] == 0.0
