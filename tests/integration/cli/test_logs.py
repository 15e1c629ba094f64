"""`redraft logs`: what happened at a job, and what happens."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import psycopg
import pytest

from tests.integration.cli.conftest import Redraft

pytestmark = pytest.mark.integration
ENDED = (
    "INSERT INTO iterations (job_id, number, operator, move) VALUES (1, 1, 'draft', '{}')",
    """INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision)
       VALUES (1, 1, 0, 'draft', 'a', 1, 0, 0)""",
    """INSERT INTO verdicts (job_id, iteration, slot, check_name, ordinal, kind, held_out, passed, score, feedback,
                             seconds, worker, epoch)
       VALUES (1, 1, 0, 'answer', 0, 'answer', false, false, 0, 'not 42', 2, 'w', 1)""",
    "INSERT INTO events (job_id, kind, detail) VALUES (1, 'unsolved', 'its budget is spent')",
    "UPDATE jobs SET state = 'unsolved', finished_at = now() WHERE id = 1",
)


def submit(redraft: Redraft) -> None:
    Path("problem.md").write_text("---\ntitle: t\nchecks: [{answer: 42}]\n---\nWhat is 6 times 7?\n")
    assert redraft("submit", "problem.md").code == 0


def end(admin: psycopg.Connection[tuple[object, ...]]) -> None:
    for statement in ENDED:
        admin.execute(statement)  # type: ignore[arg-type]


def test_an_ended_job_shows_its_last_events_and_verdicts(
    redraft: Redraft, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    submit(redraft)
    end(admin)
    said = redraft("logs", "1")
    assert said.code == 0
    assert "unsolved: its budget is spent" in said.out
    assert "1.0 failed answer: not 42" in said.out
    (event,) = [json.loads(line) for line in redraft("logs", "1", "--tail", "1", "--json").out.splitlines()][:1]
    assert event["event"] == "unsolved"


def test_it_follows_until_the_job_has_ended(redraft: Redraft, admin: psycopg.Connection[tuple[object, ...]]) -> None:
    submit(redraft)
    later = threading.Timer(1.5, end, [admin])
    later.start()
    said = redraft("logs", "-f", "1", "--tail", "0")
    later.join()
    assert said.code == 0
    assert "1.0 failed answer: not 42" in said.out
    assert said.out.count("unsolved: its budget is spent") == 1


def test_a_job_that_is_not_there_is_one_line(redraft: Redraft) -> None:
    said = redraft("logs", "7")
    assert said.code == 2
    assert "7" in said.err
