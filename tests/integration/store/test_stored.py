"""A row that no submission stores: refused by the database, and where it exists all the same, ended at first sight."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from tasks.errors import InvalidInput
from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import CheckSpec, JobSpec
from tests.loops import ENGINE_AND_CHECKS, take, twin_loop

pytestmark = pytest.mark.integration
Connection = psycopg.Connection[Any]
ANSWER = {"kind": "answer", "name": "answer", "value": {"exact": "42"}}
GOOD = {
    "spec_hash": "h",
    "title": "t",
    "problem": "p",
    "checks": json.dumps([ANSWER]),
    "strategy": "correct",
    "lane": "gpu",
    "egress": "never",
    "budget_usd": 1,
    "budget_hours": 1,
    "budget_iterations": 1,
    "budget_tokens": 100_000,
}
FILE = {"name": "a", "media_type": "text/plain", "sha256": "0" * 64, "bytes": 1}


def checks(**fields: object) -> str:
    return json.dumps([{**ANSWER, **fields}])


# What is wrong with a row: the column, its value, and how the job's reason begins where it is read.
MALFORMED = {
    "no list": ("checks", "7", r"checks: 7 is stored"),
    "an object": ("checks", "{}", r"checks: \{\} is stored"),
    "no check": ("checks", "[]", r"checks: \[\] is stored"),
    "too many checks": ("checks", json.dumps([ANSWER] * 51), "checks: "),
    "a check that is a text": ("checks", '["answer"]', r"checks\[0\]: 'answer' is stored"),
    "a check without a name": ("checks", '[{"kind": "answer", "value": 1}]', r"checks\[0\]\.name: None"),
    "a check without a value": ("checks", '[{"kind": "answer", "name": "a"}]', r"checks\[0\]\.value: None"),
    "a kind that is a number": ("checks", checks(kind=3), r"checks\[0\]\.kind: 3 is stored"),
    "held out, perhaps": ("checks", checks(held_out="yes"), r"checks\[0\]\.held_out: 'yes'"),
    "all the memory there is": ("checks", checks(memory_mb=4_000_000), r"checks\[0\]\.memory_mb: 4000000"),
    "no memory": ("checks", checks(memory_mb=0), r"checks\[0\]\.memory_mb: 0"),
    "half a megabyte more": ("checks", checks(memory_mb=64.5), r"checks\[0\]\.memory_mb: 64.5"),
    "memory in words": ("checks", checks(memory_mb="512"), r"checks\[0\]\.memory_mb: '512'"),
    "a century": ("checks", checks(timeout_seconds=3.2e9), r"checks\[0\]\.timeout_seconds: 3200000000"),
    "no time": ("checks", checks(timeout_seconds=0), r"checks\[0\]\.timeout_seconds: 0"),
    "a file above": ("checks", checks(files={"../../etc/cron.d/x": "y"}), r"checks\[0\]\.files: '\.\./\.\./etc"),
    "a file between": ("checks", checks(files={"a/../../b": "y"}), r"checks\[0\]\.files: 'a/\.\./\.\./b'"),
    "an absolute file": ("checks", checks(files={"/etc/shadow": "y"}), r"checks\[0\]\.files: '/etc/shadow'"),
    "a file without a name": ("checks", checks(files={"": "y"}), r"checks\[0\]\.files: ''"),
    "a file that is a number": ("checks", checks(files={"a": 5}), r"checks\[0\]\.files\['a'\]: 5"),
    "files in a list": ("checks", checks(files=["a"]), r"checks\[0\]\.files: \['a'\]"),
    "a lane of a step": ("lane", "cloud", "lane: 'cloud' is stored"),
    "another lane": ("lane", "express", "lane: 'express' is stored"),
    "another egress": ("egress", "everything", "egress: 'everything'"),
    "no number of dollars": ("budget_usd", "NaN", "budget_usd: 'NaN'"),
    "no number of hours": ("budget_hours", "NaN", "budget_hours: nan"),
    "hours without end": ("budget_hours", "Infinity", "budget_hours: inf"),
    "attachments in a number": ("attachments", "3", "attachments: 3 is stored"),
    "too many attachments": ("attachments", json.dumps([FILE] * 17), "attachments: "),
    "an attachment of no kind": (
        "attachments",
        json.dumps([{**FILE, "media_type": "x/y"}]),
        r"attachments\[0\]\.media",
    ),
    "an attachment in parts": ("attachments", '[{"name": "a"}]', r"attachments\[0\]\.media_type: None"),
}
# Their form is right, so the database takes them; no worker can do anything with them.
UNKNOWN = {
    "an option for a program": (
        "checks",
        checks(kind="command", value=["--", "true"]),
        r"checks\[0\].command: \['--',",
    ),
    "a test that is not there": ("checks", checks(kind="python", value="t.py", files={}), r"checks\[0\]: .*KeyError"),
    "tests that are no Python": (
        "checks",
        checks(kind="python", value="t.py", files={"t.py": "def"}),
        r"checks\[0\]: .*SyntaxError",
    ),
    "no arguments": ("checks", checks(kind="command", value={"a": 1}), r"checks\[0\].command: "),
    "a field of a check": ("checks", checks(isolated="no"), r"checks\[0\]: 'isolated' is stored"),
    "two checks of one name": ("checks", json.dumps([ANSWER, ANSWER]), "checks: 'answer' is stored"),
    "a lesson": ("recalled", '[{"x": 1}]', "recalled: what is stored are no lessons"),
}


@pytest.fixture
def admin(admin_url: str) -> Iterator[Connection]:
    with psycopg.connect(admin_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection


@pytest.fixture
def eve(login: Callable[..., str]) -> Iterator[Connection]:
    with psycopg.connect(login("eve").replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection


def insert(connection: Connection, **fields: object) -> int:
    row = {**GOOD, **fields}
    statement = sql.SQL("INSERT INTO jobs ({}) VALUES ({}) RETURNING id").format(
        sql.SQL(", ").join(map(sql.Identifier, row)), sql.SQL(", ").join(sql.Placeholder() * len(row))
    )
    made = connection.execute(statement, list(row.values())).fetchone()
    assert made is not None
    return int(made[0])


def without_limits(admin: Connection) -> None:
    names = "SELECT conname FROM pg_constraint WHERE conrelid = 'jobs'::regclass AND contype = 'c'"
    for (name,) in admin.execute(names).fetchall():
        admin.execute(sql.SQL("ALTER TABLE jobs DROP CONSTRAINT {}").format(sql.Identifier(name)))


def turn(fleet: Database) -> None:
    claim = take(fleet)
    assert claim is not None
    model = ScriptedModel(lambda request: pytest.fail("a model was asked"))
    twin_loop(PostgresLedger(fleet, fault_cap=3), model).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())


@pytest.mark.parametrize("name", MALFORMED)
def test_the_database_refuses_it(eve: Connection, name: str) -> None:
    column, value, _ = MALFORMED[name]
    with pytest.raises(errors.CheckViolation):
        insert(eve, **{column: value})


@pytest.mark.parametrize("name", MALFORMED | UNKNOWN)
def test_a_worker_ends_it_at_first_sight_with_its_reason(admin: Connection, fleet: Database, name: str) -> None:
    column, value, reason = (MALFORMED | UNKNOWN)[name]
    without_limits(admin)
    job = insert(admin, owner="eve")
    admin.execute(sql.SQL("UPDATE jobs SET {} = %s").format(sql.Identifier(column)), (value,))
    turn(fleet)
    row = admin.execute("SELECT state, crashes, faults, stop_code, reason FROM jobs WHERE id = %s", (job,)).fetchone()
    assert row is not None
    assert row[:4] == ("failed", 0, 0, "malformed")
    assert re.match(reason, row[4]), row[4]
    assert take(fleet) is None


@pytest.mark.parametrize(
    ("column", "value", "plugin"), [("strategy", "oracle", "strategy"), ("checks", checks(kind="oracle"), "check")]
)
def test_a_plugin_that_a_worker_lacks_is_left_to_others_and_fails_the_job_at_the_cap(
    admin: Connection, fleet: Database, column: str, value: str, plugin: str
) -> None:
    job = insert(admin, owner="eve", **{column: value})
    query = "SELECT state, stop_code, stop_used, faults, crashes FROM jobs WHERE id = %s"
    for faults in (1, 2):
        turn(fleet)
        assert admin.execute(query, (job,)).fetchone() == ("running", None, None, faults, 0)
        held = "SELECT worker, runnable, run_at > now() FROM leases WHERE job_id = %s"
        assert admin.execute(held, (job,)).fetchone() == (None, True, True)
    turn(fleet)
    assert admin.execute(query, (job,)).fetchone() == ("failed", "missing_plugin", 3, 3, 0)
    reason = f"{plugin} 'oracle' is not on this worker; 3 turns in a row found no worker that can go on with it"
    assert admin.execute("SELECT reason FROM jobs").fetchone() == (reason,)
    assert take(fleet) is None


def test_an_attachment_that_is_no_text_though_its_job_says_so_ends_it(
    admin: Connection, eve: Connection, fleet: Database
) -> None:
    eve.execute(
        "INSERT INTO attachments (sha256, media_type, content)"
        " SELECT encode(sha256(c), 'hex'), 'text/plain', c FROM (VALUES (%s::bytea)) AS v(c)",
        (b"\xff\xfe",),
    )
    ((named,),) = eve.execute("SELECT sha256 FROM attachments").fetchall()
    insert(eve, attachments=json.dumps([{**FILE, "sha256": named}]))
    turn(fleet)
    assert admin.execute("SELECT state, reason FROM jobs").fetchone() == (
        "failed",
        "the attachment a is no text: byte 0 is not UTF-8",
    )


# Beyond what a worker would stumble over: the limits of a submission, at their last allowed value and past it.
EDGES = {
    "title": ("t" * 200, "t" * 201),
    "problem": ("p" * 1_000_000, "p" * 1_000_001),
    "strategy": ("best_of_n", "best of n"),
    "lane": ("fast", "cloud"),
    "priority": (100, 101),
    "tags": (["a.b:c/d-e_f"] * 20, ["a"] * 21),
    "seed": (2**31 - 1, 2**31),
    "key": ("k" * 200, "k" * 201),
    "budget_usd": (100_000, 100_001),
    "budget_hours": (8760, 8761),
    "budget_iterations": (10_000, 10_001),
    "budget_tokens": (10**12, 10**12 + 1),
    "temperature": (2, 2.1),
    "start": ("s" * 200_000, "s" * 200_001),
    "checks": (checks(memory_mb=65_536, timeout_seconds=3600), checks(memory_mb=65_537)),
}
FORMS = {
    "a title of two lines": ("title", "a\nb"),
    "a title that is an escape": ("title", "a\x1b[2J"),
    "no title": ("title", ""),
    "no problem": ("problem", ""),
    "a tag with a space": ("tags", ["a b"]),
    "an empty tag": ("tags", [""]),
    "a tag that is none": ("tags", ["a", None]),
    "tags of tags": ("tags", [["a"], ["b"]]),
    "a tag that begins with a stop": ("tags", [".a"]),
    "a long tag": ("tags", ["a" * 51]),
    "a key of two lines": ("key", "a\nb"),
    "an empty key": ("key", ""),
    "nothing to spend": ("budget_usd", 0),
    "a debt": ("budget_usd", -1),
    "no time": ("budget_hours", 0),
    "no iteration": ("budget_iterations", 0),
    "no token": ("budget_tokens", 0),
    "a low priority": ("priority", -101),
    "a seed below zero": ("seed", -1),
}


@pytest.mark.parametrize("column", EDGES)
def test_a_limit_of_a_submission_is_the_databases_too(eve: Connection, column: str) -> None:
    last, beyond = EDGES[column]
    insert(eve, **{column: last})
    with pytest.raises(errors.CheckViolation):
        insert(eve, **{column: beyond})


@pytest.mark.parametrize("name", FORMS)
def test_what_a_submission_would_not_write_is_refused(eve: Connection, name: str) -> None:
    column, value = FORMS[name]
    with pytest.raises(errors.CheckViolation):
        insert(eve, **{column: value})


def test_an_attachment_is_stored_under_its_own_hash_alone(eve: Connection) -> None:
    statement = "INSERT INTO attachments (sha256, media_type, content) VALUES (%s, %s, %s)"
    for row in (("0" * 64, "text/plain", b"x"), ("", "text/plain", b"")):
        with pytest.raises(errors.CheckViolation, match="attachments_sha256"):
            eve.execute(statement, row)


SUBMISSION = (
    set(GOOD)
    | {"key", "priority", "tags", "seed", "memory", "attachments", "model", "cut"}
    | {
        "budget_completion_tokens",
        "batch_id",
        "files",
        "ask",
        "ask_hours",
        "budget_local_tokens",
        "budget_cloud_tokens",
        "budget_gpu_seconds",
        "budget_evaluations",
        "temperature",
        "start",
    }
)


def test_a_submitter_writes_the_columns_of_a_submission_and_no_other(admin: Connection, eve: Connection) -> None:
    rights = """SELECT column_name FROM information_schema.columns WHERE table_name = %s
                AND has_column_privilege('eve', table_name::regclass, column_name, %s)"""
    writable = {
        "jobs": SUBMISSION,
        "attachments": {"sha256", "media_type", "content"},
        "batches": {"budget_tokens", "budget_usd", "budget_hours"},
    }
    for table, may in writable.items():
        assert {name for (name,) in admin.execute(rights, (table, "INSERT"))} == may
        assert admin.execute(rights, (table, "UPDATE")).fetchall() == []
    tables = """SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')
                AND (has_any_column_privilege('eve', oid, 'INSERT, UPDATE') OR has_table_privilege('eve', oid,
                    'DELETE, TRUNCATE, REFERENCES, TRIGGER'))"""
    assert {name for (name,) in admin.execute(tables)} == set(writable)


def test_whoever_stores_past_the_command_line_hears_which_limit_it_was(user: Database) -> None:
    made = JobSpec(title="t" * 201, problem="p", checks=(CheckSpec(name="a", kind="answer", value="1"),))
    with pytest.raises(InvalidInput, match="jobs_title"):
        submit_jobs(user, [made])
