"""`redraft submit` from the file to the row: what is good is stored whole, what is bad leaves nothing behind."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tasks.settings import load_settings

pytestmark = pytest.mark.integration

Admin = psycopg.Connection[tuple[object, ...]]
Redraft = Callable[..., Any]

GOOD = """---
title: Add
checks:
  - python: tests/visible.py
  - python: tests/hidden.py
    held_out: true
budget: {usd: 0.5, tokens: 2_000}
tags: [sums]
---
Write `add(a, b)`.
"""
CHECK = "checks: [{answer: 42}]\n"
OFF = (
    "escalation is off, for no cloud is configured (`redraft up --cloud`, or REDRAFT_EGRESS=full and an OpenAI key): "
    "every word stays at home\n"
)


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    for name in ("visible", "hidden"):
        (tmp_path / "tests" / f"{name}.py").write_text("def test_add():\n    assert True\n")
    (tmp_path / "latin.py").write_bytes(b"# caf\xe9\n")
    (tmp_path / "nul.py").write_bytes(b"a\0b")
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "large.py").write_text("#" * 5_000_000)
    return tmp_path


def stored(admin: Admin) -> int:
    row = admin.execute("SELECT count(*) FROM jobs").fetchone()
    assert row is not None
    return int(str(row[0]))


def test_a_job_file_becomes_a_row_and_its_number_is_printed(redraft: Redraft, files: Path, admin: Admin) -> None:
    (files / "p.md").write_text(GOOD)
    said = redraft("submit", "p.md")
    assert (said.code, said.out, said.err) == (0, "1\n", OFF)
    row = admin.execute("SELECT title, checks, budget_tokens, tags, owner, state FROM jobs").fetchone()
    assert row is not None
    title, checks, tokens, tags, owner, state = row
    assert (title, tokens, tags, owner, state) == ("Add", 2000, ["sums"], "ada", "queued")
    assert isinstance(checks, list)
    assert [check["name"] for check in checks] == ["python:visible.py", "python:hidden.py"]
    assert checks[1]["held_out"] is True
    assert "assert True" in "".join(checks[0]["files"].values())


def test_flags_alone_are_enough_for_standard_input(
    redraft: Redraft, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"What is 6 times 7?\n")))
    said = redraft(
        *("submit", "-", "--check", "python:tests/visible.py", "--hidden-check", "answer:42", "--tag", "x"),
        *("--budget", "usd=0.1,iterations=3", "--priority", "-5", "--egress", "never", "--json"),
    )
    assert json.loads(said.out) == {"job": 1, "new": True, "title": "What is 6 times 7?", "batch": None}
    row = admin.execute("SELECT priority, egress, budget_iterations, tags FROM jobs").fetchone()
    assert row == (-5, "never", 3, ["x"])


def test_json_lines_are_stored_in_one_transaction(redraft: Redraft, files: Path, admin: Admin) -> None:
    line = json.dumps({"problem": "P", "checks": [{"answer": 1}]})
    (files / "jobs.jsonl").write_text(f"{line}\n{line}\n")
    assert redraft("submit", "jobs.jsonl").out == "1\n2\n"
    (files / "jobs.jsonl").write_text(f'{line}\n{{"problem": "P"}}\n')
    said = redraft("submit", "jobs.jsonl")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("jobs.jsonl line 2: checks: ")
    assert stored(admin) == 2


@pytest.mark.slow  # test_submit.py of the units names the faults of many lines, and another test here stores several
def test_ten_thousand_lines_are_stored_together_in_their_order_or_not_at_all(
    redraft: Redraft, files: Path, admin: Admin
) -> None:
    lines = [json.dumps({"problem": f"P{n}", "checks": [{"answer": n}], "key": str(n)}) for n in range(10_000)]
    bad = [*lines[:-1], '{"problem": "P", "checks": [{"answer": 1}], "lane": "slow"}']
    (files / "jobs.jsonl").write_text("\n".join(bad))
    said = redraft("submit", "jobs.jsonl")
    assert (said.code, said.out, stored(admin)) == (2, "", 0)
    assert said.err.startswith("jobs.jsonl line 10000: lane: ")
    (files / "jobs.jsonl").write_text("\n".join(lines))
    said = redraft("submit", "jobs.jsonl")
    assert (said.code, said.err, stored(admin)) == (0, OFF, 10_000)
    numbers = [int(line) for line in said.out.splitlines()]
    stored_keys = admin.execute("SELECT key FROM jobs ORDER BY array_position(%s, id)", [numbers]).fetchall()
    assert [key for (key,) in stored_keys] == [str(n) for n in range(10_000)]
    kept = admin.execute(
        "SELECT count(*), count(DISTINCT submitted_at) FROM jobs JOIN leases ON job_id = id"
    ).fetchone()
    assert kept == (10_000, 1)


def test_one_bad_file_among_many_stores_none(redraft: Redraft, files: Path, admin: Admin) -> None:
    (files / "good.md").write_text(GOOD)
    (files / "bad.md").write_text("no checks")
    assert redraft("submit", "good.md", "bad.md").code == 2
    assert stored(admin) == 0


def test_the_same_key_gives_the_same_job_back(redraft: Redraft, files: Path, admin: Admin) -> None:
    (files / "p.md").write_text(GOOD)
    first, again = redraft("submit", "p.md", "--key", "k"), redraft("submit", "p.md", "--key", "k")
    assert first.out == again.out == "1\n"
    assert "the same jobs are given back" in again.err
    other = redraft("submit", "p.md", "--key", "k", "--priority", "1")
    assert (other.code, other.out) == (2, "")
    assert other.err == "key: 'k' is not allowed; it names job 1, whose content is another; take a new key\n"
    assert stored(admin) == 1


PNG = b"\x89PNG\r\n\x1a\nrest"


def test_attachments_are_stored_with_the_job_and_named(redraft: Redraft, files: Path, admin: Admin) -> None:
    (files / "data.csv").write_text("x,y\n")
    (files / "p.md").write_text(f"---\n{CHECK}key: k\n---\nSee [the data](data.csv) and [a site](https://example.org).")
    said = redraft("submit", "p.md")
    assert (said.code, said.out, said.err) == (0, "1\n", "attached: data.csv\n" + OFF)
    row = admin.execute(
        "SELECT a.content, a.owner FROM jobs j, attachments a WHERE a.sha256 = j.attachments -> 0 ->> 'sha256'"
    ).fetchone()
    assert row == (b"x,y\n", "ada")
    assert redraft("submit", "p.md").out == "1\n"
    (files / "data.csv").write_text("x,z\n")
    again = redraft("submit", "p.md")
    assert (again.code, again.out) == (2, "")
    assert "whose content is another" in again.err


def test_what_a_test_needs_is_named_and_stored_byte_for_byte(redraft: Redraft, files: Path, admin: Admin) -> None:
    (files / "tests" / "near.py").write_text("ROWS = open('rows.bin', 'rb').read()\n")
    (files / "tests" / "rows.bin").write_bytes(b"\x00\xff")
    (files / "tests" / "visible.py").write_text("import near\n\ndef test_add():\n    assert near.ROWS\n")
    (files / "p.md").write_text(GOOD)
    said = redraft("submit", "p.md")
    assert (said.code, said.err) == (0, "with the checks: near.py, rows.bin\n" + OFF)
    row = admin.execute("SELECT checks FROM jobs").fetchone()
    assert row is not None
    assert row[0][0]["files"]["rows.bin"] == {"base64": "AP8="}
    assert row[0][0]["value"] == "visible.py"


def test_a_picture_that_no_model_takes_is_refused_and_nothing_is_stored(
    redraft: Redraft, files: Path, admin: Admin
) -> None:
    (files / "fig.png").write_bytes(PNG)
    (files / "p.md").write_text(f"---\n{CHECK}---\nWhat is ![it](fig.png)?")
    said = redraft("submit", "p.md")
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert "attachments: 'fig.png' is not allowed; no model that is served takes image: lane gpu has no wor" in said.err
    serve = "INSERT INTO workers (name, host, pid, lanes, slots, model, version, modalities) VALUES "
    admin.execute(serve + "('w', 'h', 1, '{gpu}', 1, 'small', '0', '{text}')")
    assert "lane gpu has small takes text" in redraft("submit", "p.md").err
    assert (stored(admin), admin.execute("SELECT count(*) FROM attachments").fetchone()) == (0, (0,))
    admin.execute(serve + "('v', 'h', 1, '{gpu}', 1, 'large', '0', '{text,image}')")
    assert redraft("submit", "p.md").out.strip().isdigit()
    admin.execute("UPDATE workers SET seen_at = now() - interval '1 minute'")
    assert redraft("submit", "p.md").code == 2
    assert stored(admin) == 1


def test_submit_wait_exits_as_wait_does(redraft: Redraft, files: Path) -> None:
    (files / "p.md").write_text(GOOD)
    said = redraft("submit", "p.md", "--wait", "--timeout", "0.1")
    assert (said.code, said.out, said.err) == (5, "1\n", OFF + "job 1 is queued\n")


def egress_of(admin: Admin) -> list[str]:
    return [egress for (egress,) in admin.execute("SELECT egress FROM jobs ORDER BY id").fetchall()]


@pytest.mark.parametrize("named", ["full", "never", None])
def test_a_key_alone_sends_nothing_and_that_is_stored_with_the_job(
    redraft: Redraft, files: Path, admin: Admin, monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    load_settings.cache_clear()
    (files / "p.md").write_text(GOOD)
    said = redraft("submit", "p.md", *(("--egress", named) if named else ()))
    assert said.out == "1\n"
    assert said.err.startswith("escalation is off")
    assert said.err.count("\n") == 1
    assert "sk-test" not in said.err
    assert egress_of(admin) == ["never"]


@pytest.mark.parametrize(("setting", "named", "stored"), [
    ("full", None, "full"), ("full", "never", "never"), ("full", "hint", "hint"), ("hint", None, "hint"),
    ("never", None, "never"), ("never", "full", "never"),
])  # fmt: skip
def test_what_the_operator_says_holds_for_jobs_that_name_nothing(
    redraft: Redraft,
    files: Path,
    admin: Admin,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    named: str | None,
    stored: str,
) -> None:
    monkeypatch.setenv("REDRAFT_EGRESS", setting)
    load_settings.cache_clear()
    (files / "p.md").write_text(GOOD)
    said = redraft("submit", "p.md", *(("--egress", named) if named else ()))
    assert egress_of(admin) == [stored]
    assert said.err.startswith("escalation is off" if stored == "never" else "escalation is on")
    assert ("for hints alone" in said.err) is (stored == "hint")


def test_escalation_is_on_where_a_live_worker_serves_the_cloud_though_the_key_is_the_worker_s_alone(
    redraft: Redraft, files: Path, admin: Admin
) -> None:
    admin.execute(
        "INSERT INTO workers (name, host, pid, lanes, slots, version) VALUES ('w', 'h', 1, '{cloud}', 1, '0')"
    )
    (files / "p.md").write_text(GOOD)
    (files / "home.md").write_text(GOOD.replace("title: Add", "title: Add\negress: never"))
    said = redraft("submit", "p.md", "home.md", "--json")
    assert [json.loads(line)["job"] for line in said.out.splitlines()] == [1, 2]
    assert said.err.startswith("escalation is on, for a worker serves the cloud;")
    assert said.err.endswith("1 of 2 stay at home\n")
    admin.execute("UPDATE workers SET seen_at = now() - interval '1 hour'")
    assert redraft("submit", "p.md").err == OFF
    assert egress_of(admin) == ["full", "never", "never"]


def test_a_key_gives_the_job_back_whatever_the_deployment_says_by_then(
    redraft: Redraft, files: Path, admin: Admin
) -> None:
    (files / "p.md").write_text(GOOD)
    assert redraft("submit", "p.md", "--key", "k").out == "1\n"
    admin.execute(
        "INSERT INTO workers (name, host, pid, lanes, slots, version) VALUES ('w', 'h', 1, '{cloud}', 1, '0')"
    )
    again = redraft("submit", "p.md", "--key", "k")
    assert again.out == "1\n"
    assert again.err.startswith("escalation is off")
    assert egress_of(admin) == ["never"]
    assert redraft("submit", "p.md", "--key", "k", "--egress", "full").code == 2


def test_a_key_of_an_earlier_release_which_gave_each_job_an_egress_gives_it_back(
    redraft: Redraft, files: Path, admin: Admin
) -> None:
    (files / "p.md").write_text(GOOD)
    redraft("submit", "p.md", "--key", "k", "--egress", "full")
    admin.execute("UPDATE jobs SET egress = 'full'")
    assert redraft("submit", "p.md", "--key", "k").out == "1\n"


BAD: dict[str, tuple[str | bytes, str]] = {
    "unknown field": (f"---\n{CHECK}priorty: 5\n---\nP", "priorty: 5 "),
    "wrong type": (f"---\n{CHECK}priority: high\n---\nP", "priority: 'high' "),
    "priority out of range": (f"---\n{CHECK}priority: 1000\n---\nP", "priority: 1000 "),
    "empty problem": (f"---\n{CHECK}---\n\n", "problem: '' "),
    "no checks": ("Just words", "checks: [] "),
    "unknown check kind": ("---\nchecks: [{pyhton: t.py}]\n---\nP", "did you mean 'python'?"),
    "missing check file": ("---\nchecks: [{python: none.py}]\n---\nP", "checks[0].python"),
    "check file is a folder": ("---\nchecks: [{python: folder.py}]\n---\nP", "checks[0].python"),
    "check file not UTF-8": ("---\nchecks: [{python: latin.py}]\n---\nP", "checks[0].python"),
    "check file with NUL": ("---\nchecks: [{python: nul.py}]\n---\nP", "checks[0].python"),
    "check file too large": ("---\nchecks: [{python: large.py}]\n---\nP", "checks"),
    "check file by URL": ("---\nchecks: [{python: 'https://example.org/t.py'}]\n---\nP", "checks[0].python"),
    "python without a file": ("---\nchecks: [{python: 3}]\n---\nP", "checks[0].python"),
    "answer without a value": ("---\nchecks: [{answer: }]\n---\nP", "checks[0].answer"),
    "answer of an unknown way": ("---\nchecks: [{answer: {exactly: 1}}]\n---\nP", "checks[0].answer"),
    "answer by a broken pattern": ("---\nchecks: [{answer: {regex: '('}}]\n---\nP", "checks[0].answer"),
    "answer with a bad tolerance": (
        "---\nchecks: [{answer: {number: 1, tolerance: -1}}]\n---\nP",
        "checks[0].answer.tolerance: -1 ",
    ),
    "held_out not boolean": ("---\nchecks: [{answer: 1, held_out: maybe}]\n---\nP", "checks[0].held_out: 'maybe' "),
    "timeout out of range": ("---\nchecks: [{answer: 1, timeout_seconds: 9999}]\n---\nP", "checks[0].timeout_seconds"),
    "memory out of range": ("---\nchecks: [{answer: 1, memory_mb: 1}]\n---\nP", "checks[0].memory_mb: 1 "),
    "negative budget": (f"---\n{CHECK}budget: {{usd: -2}}\n---\nP", "budget.usd: -2 "),
    "zero budget": (f"---\n{CHECK}budget: {{hours: 0}}\n---\nP", "budget.hours: 0 "),
    "NaN budget": (f"---\n{CHECK}budget: {{usd: .nan}}\n---\nP", "budget.usd: nan "),
    "infinite budget": (f"---\n{CHECK}budget: {{hours: .inf}}\n---\nP", "budget.hours: inf "),
    "unknown lane": (f"---\n{CHECK}lane: tpu\n---\nP", "lane: 'tpu' "),
    "unknown egress": (f"---\n{CHECK}egress: half\n---\nP", "egress: 'half' "),
    "unknown strategy": (f"---\n{CHECK}strategy: magic\n---\nP", "strategy: 'magic' "),
    "bad tag": (f"---\n{CHECK}tags: ['a b']\n---\nP", "tags[0]: 'a b' "),
    "field given twice": (f"---\n{CHECK}lane: gpu\nlane: gpu\n---\nP", "line 4 column 1"),
    "invalid YAML": ("---\nchecks: [1\n---\nP", "line 2 column 11"),
    "front matter not closed": (f"---\n{CHECK}P", "front matter"),
    "not UTF-8": (b"caf\xe9", "not UTF-8"),
    "NUL byte": (b"a\0b", "NUL"),
    "problem too large": (f"---\n{CHECK}---\n" + "x" * 1_000_001, "problem: '1,000,001 bytes' "),
    "missing picture": (f"---\n{CHECK}---\n![x](y.png)", "problem: 'y.png' "),
    "text outside the folder": (f"---\n{CHECK}---\n[x](../y.txt)", "problem: '../y.txt' "),
}


def test_jobs_with_one_budget_are_a_batch_that_ls_show_and_cost_know(
    redraft: Redraft, files: Path, admin: Admin
) -> None:
    (files / "two.jsonl").write_text('{"problem": "P", "checks": [{"answer": 1}]}\n' * 2)
    (files / "p.md").write_text(GOOD)
    said = redraft("submit", "two.jsonl", "--pool-budget", "tokens=300_000,hours=1.5", "--json")
    assert said.code == 0, said.err
    first, second = (json.loads(line) for line in said.out.splitlines())
    assert first["batch"] == second["batch"]
    batch = str(first["batch"])
    assert f"batch {batch}: 2 jobs share one budget" in said.err
    assert redraft("submit", "p.md").code == 0
    line = f"{batch}: 0 of 2 jobs accepted, 0 ended; used 0 of 300.0k tokens, 0s of 1h30m"
    listed = redraft("ls", "--batch", batch)
    assert f"batch {line}" in listed.err
    assert "Add" not in listed.out
    assert line in redraft("show", str(first["job"])).out
    assert "batch" not in redraft("show", "3").out
    shown = json.loads(redraft("show", str(first["job"]), "--json").out)
    assert (shown["batch"], shown["batch_spend"]["budget"]["tokens"]) == (first["batch"], 300_000)
    admin.execute(
        """INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text,
           finish_reason, prompt_tokens, cached_tokens, completion_tokens, seconds, worker, epoch)
           SELECT id, 1, 'draft', 0, 1, 'm', '{}', 'h', '', 'stop', 10, 0, 5, 1, 'w', 1 FROM jobs"""
    )
    costs = [json.loads(line) for line in redraft("cost", "--by", "batch", "--json").out.splitlines()]
    assert [(row["batch"], row["jobs"], row["prompt_tokens"]) for row in costs] == [("-", 1, 10), (batch, 2, 20)]


@pytest.mark.parametrize("case", BAD)
def test_a_bad_job_file_is_one_line_exit_2_and_nothing_stored(
    redraft: Redraft, files: Path, admin: Admin, case: str
) -> None:
    content, expected = BAD[case]
    (files / "bad.md").write_bytes(content.encode() if isinstance(content, str) else content)
    said = redraft("submit", "bad.md")
    assert said.code == 2, said.err
    assert said.out == ""
    assert said.err.startswith("bad.md")
    assert expected in said.err
    assert said.err.count("\n") == 1
    assert len(said.err) < 500
    assert stored(admin) == 0


def test_all_faults_of_all_jobs_are_a_line_each_and_nothing_is_stored(
    redraft: Redraft, files: Path, admin: Admin
) -> None:
    (files / "good.md").write_text(GOOD)
    (files / "bad.md").write_text("---\nlane: slow\nchecks: [{answer: 1, memory_mb: 1}, {python: none.py}]\n---\nP")
    (files / "jobs.jsonl").write_text('{"problem": "P"}\n{"checks": [{"answer": 1}]}\n')
    said = redraft("submit", "good.md", "bad.md", "jobs.jsonl")
    assert (said.code, said.out, stored(admin)) == (2, "", 0)
    assert sorted(line.partition(" is not")[0] for line in said.err.splitlines()) == [
        "bad.md: checks[0].memory_mb: 1",
        "bad.md: checks[1].python: 'none.py'",
        "bad.md: lane: 'slow'",
        "jobs.jsonl line 1: checks: []",
        "jobs.jsonl line 2: problem: None",
    ]


def test_the_tests_that_do_not_load_are_a_line_each(redraft: Redraft, files: Path, admin: Admin) -> None:
    for name in ("visible", "hidden"):
        (files / "tests" / f"{name}.py").write_text(f"def test_{name}(:\n")
    (files / "p.md").write_text(GOOD)
    said = redraft("submit", "p.md")
    assert (said.code, said.out, stored(admin)) == (2, "", 0)
    assert [line.partition(".python")[0] for line in said.err.splitlines()] == ["p.md: checks[0]", "p.md: checks[1]"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["p.md", "none.md"], "FILE: 'none.md' "),
        (["p.md", "--check", "python"], "--check: 'python' "),
        (["p.md", "--check", "nothing:1"], "nothing"),
        (["p.md", "--hidden-check", "python:none.py"], "none.py"),
        (["p.md", "--budget", "usd=1,usd=2"], "--budget: 'usd=2' "),
        (["p.md", "--budget", "days=2"], "budget.days"),
        (["p.md", "--pool-budget", "tokens=0"], "--pool-budget.tokens: 0 "),
        (["p.md", "--pool-budget", "iterations=9"], "--pool-budget: 'iterations=9' "),
        (["p.md", "--lane", "cloud"], "lane: 'cloud' "),
        (["p.md", "--priority", "101"], "priority: 101 "),
        (["p.md", "--key", ""], "key: '' "),
        (["p.md", "--tag", "\udcff"], "tags[1]"),
        (["p.md", "p.md", "--key", "k"], "--key: 'k' "),
    ],
)
def test_a_bad_flag_is_one_line_exit_2_and_nothing_stored(
    redraft: Redraft, files: Path, admin: Admin, arguments: list[str], expected: str
) -> None:
    (files / "p.md").write_text(GOOD)
    said = redraft("submit", *arguments)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1), said.err
    assert expected in said.err
    assert stored(admin) == 0
