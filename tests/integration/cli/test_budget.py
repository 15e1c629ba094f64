"""`redraft budget` and `submit --dry-run`: limits of a day are set and seen, and nothing is stored to hear a price."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tasks.settings import load_settings
from tests.integration.cli.conftest import Urls

pytestmark = pytest.mark.integration
Admin = psycopg.Connection[tuple[object, ...]]
Redraft = Callable[..., Any]
JOB = "---\ntitle: {0}\nchecks: [{{answer: 4}}]\nbudget: {1}\n---\nAdd two and two.\n"


def test_limits_of_a_day_are_set_shown_and_removed(redraft: Redraft, admin: Admin, urls: Urls) -> None:
    said = redraft("budget", "set", "usd=5,local_tokens=2_000_000", "--url", urls.admin)
    assert (said.code, said.out) == (
        0,
        "the deployment: 5.0000 a day of usd\nthe deployment: 2,000,000 a day of local_tokens\n",
    )
    assert redraft("budget", "set", "usd=0.50", "--owner", "ada", "--url", urls.admin).code == 0
    assert redraft("budget", "set", "usd=9", "--owner", "bob", "--url", urls.admin).code == 0
    admin.execute(
        "INSERT INTO owner_usage (owner, hour, engine_seconds, usd) VALUES ('ada', date_trunc('hour', now()), 0, 0.25)"
    )
    shown = [json.loads(line) for line in redraft("budget", "ls", "--json").out.splitlines()]
    assert [(one["owner"], one["unit"], float(one["limit"])) for one in shown] == [
        (None, "local_tokens", 2_000_000.0),
        (None, "usd", 5.0),
        ("ada", "usd", 0.5),
    ], "Bob's is Bob's"
    assert float(shown[2]["used"]) == 0.25
    said = redraft("budget", "ls")
    assert "of the deployment's use this login sees its own part" in said.err
    table = said.out.splitlines()
    assert table[3].split() == ["ada", "usd", "0.5000", "0.2500", "0.0000"]
    assert redraft("budget", "set", "usd=none,local_tokens=none", "--url", urls.admin).code == 0
    assert redraft("budget", "set", "usd=none", "--owner", "ada", "--url", urls.admin).code == 0
    assert redraft("budget", "ls").out.startswith("no limit of a day is set")


def test_hours_and_iterations_of_a_day_are_set_and_shown(redraft: Redraft, admin: Admin, urls: Urls) -> None:
    said = redraft("budget", "set", "hours=7.5,iterations=200", "--owner", "ada", "--url", urls.admin)
    assert said.out == "owner ada: 7.50 a day of hours\nowner ada: 200 a day of iterations\n"
    admin.execute(
        """INSERT INTO owner_usage (owner, hour, engine_seconds, hours, iterations)
           VALUES ('ada', date_trunc('hour', now()), 0, 1.25, 17)"""
    )
    table = redraft("budget", "ls").out.splitlines()
    assert [line.split() for line in table[1:]] == [
        ["ada", "hours", "7.50", "1.25", "0.00"],
        ["ada", "iterations", "200", "17", "0"],
    ]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("dollars=5", "units are usd, cloud_tokens, local_tokens, gpu_seconds, hours, iterations"),
        ("iterations=2.5", "iterations are whole"),
        ("hours=-1", "from 0"),
        ("usd=-1", "from 0"),
        ("usd=nan", "at most 99,999,999"),
        ("usd=much", "UNIT=NUMBER, from 0"),
        ("local_tokens=1.5", "local_tokens are whole"),
        ("usd=1,usd=2", "usd is given once"),
    ],
)
def test_a_limit_that_is_none_is_one_line_and_nothing_is_set(
    redraft: Redraft, admin: Admin, urls: Urls, given: str, why: str
) -> None:
    said = redraft("budget", "set", given, "--url", urls.admin)
    assert (said.code, said.out) == (2, "")
    assert why in said.err
    assert said.err.count("\n") == 1
    assert admin.execute("SELECT count(*) FROM daily_limits").fetchone() == (0,)


def test_a_submitter_sets_no_limit(redraft: Redraft, urls: Urls, admin: Admin) -> None:
    said = redraft("budget", "set", "usd=5", "--url", urls.ada)
    assert said.code == 1
    assert "permission denied for table daily_limits" in said.err


def test_a_dry_run_prints_the_most_that_jobs_can_cost_and_stores_nothing(
    redraft: Redraft, admin: Admin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.md").write_text(JOB.format("one", "{usd: 1.5, tokens: 1000, hours: 2, local_tokens: 700}"))
    (tmp_path / "two.md").write_text(JOB.format("two", "{iterations: 5}"))
    monkeypatch.chdir(tmp_path)
    said = redraft("submit", "one.md", "two.md", "--dry-run", "--json")
    one, two, both = (json.loads(line) for line in said.out.splitlines())
    assert (one["job"], one["egress"], float(one["usd"]), one["tokens"], one["hours"]) == ("one.md", "never", 0, 700, 2)
    assert (two["tokens"], two["iterations"], both["tokens"]) == (2_000_000, 5, 2_000_700)
    monkeypatch.setenv("REDRAFT_EGRESS", "full")
    load_settings.cache_clear()
    lines = redraft("submit", "one.md", "two.md", "--dry-run").out.splitlines()
    assert lines[1].split() == ["one.md", "full", "$1.50", "1,000", "2", "30", "-"]
    assert lines[3].split() == ["all", "$3.50", "2,001,000", "6", "35", "-"]
    pooled = redraft("submit", "one.md", "two.md", "--dry-run", "--pool-budget", "usd=2,tokens=5000").out.splitlines()
    assert pooled[3].split()[:3] == ["all", "$2.00", "5,000"]
    assert redraft("submit", "one.md", "--budget", "gpu_seconds=0", "--dry-run").code == 2
    assert admin.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
