"""Following jobs: what is shown of frozen rows."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tasks.store.summaries import JobSummary
from tasks.types import Acceptance, Budget, Egress, JobState, Lane, Spend
from workers.cli.jobs import document, exit_code, without_answer
from workers.cli.watch import change_line, worst

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
JOB = JobSummary(
    job=17,
    title="Shortest addition chain",
    state=JobState.RUNNING,
    reason="",
    acceptance=None,
    strategy="correct",
    iterations=3,
    score=0.5,
    answer="42",
    answer_iteration=2,
    owner="ada",
    tags=("t",),
    spend=Spend(usd=Decimal("0.04"), local_tokens=81_000, cloud_tokens=234),
    budget=Budget(),
    lane=Lane.GPU,
    egress=Egress.FULL,
    priority=0,
    key=None,
    submitted_at=NOON,
    started_at=NOON,
    finished_at=None,
    cancel_requested=False,
    worker="w",
    phase="drafting",
    live_tokens=100,
    operator="revise",
    now=NOON + timedelta(seconds=190),
)


def changed(**fields: Any) -> JobSummary:
    return dataclasses.replace(JOB, **fields)


ACCEPTED = changed(
    state=JobState.ACCEPTED,
    acceptance=Acceptance.VERIFIED,
    reason="every check passed",
    finished_at=NOON + timedelta(hours=1),
    worker=None,
    operator="",
)


def test_a_change_is_one_line() -> None:
    assert change_line(JOB) == (
        "job 17 · running · iteration 4 of 30 · score 0.50 · revise · drafting · 81.2k tokens · $0.04 · 3m10s"
    )
    assert change_line(ACCEPTED) == (
        "job 17 · accepted (verified) · iteration 3 of 30 · score 0.50 · every check passed · 81.2k tokens"
        " · $0.04 · 1h00m"
    )


def test_what_a_job_waits_for_is_said() -> None:
    assert "waiting for a worker" in change_line(changed(worker=None))
    assert "cancelling" in change_line(changed(cancel_requested=True))


@pytest.mark.parametrize(
    ("states", "code"),
    [
        (["accepted"], 0),
        (["accepted", "unsolved"], 3),
        (["quarantined"], 3),
        (["cancelled", "accepted"], 4),
        (["cancelled", "unsolved"], 3),
        (["failed", "cancelled"], 1),
        (["running", "failed"], 5),
        (["paused"], 5),
        (["queued"], 5),
    ],
)
def test_exit_codes_say_how_jobs_ended(states: list[str], code: int) -> None:
    assert worst([changed(state=JobState(state)) for state in states]) == code


def test_every_state_has_an_exit_code_of_the_contract() -> None:
    assert {exit_code(changed(state=state)) for state in JobState} == {0, 1, 3, 4, 5}


def test_the_document_has_the_promised_fields() -> None:
    promised = ["job", "title", "state", "reason", "acceptance", "strategy", "iterations", "score", "answer"]
    promised += ["answer_iteration", "owner", "tags", "spend", "submitted_at", "started_at", "finished_at"]
    assert list(document(JOB))[: len(promised)] == promised
    assert set(document(JOB)["spend"]) == {"usd", "local_tokens", "cloud_tokens"}
    assert set(document(JOB)) - set(without_answer(JOB)) == {"answer"}


def test_a_pause_is_told() -> None:
    assert "pausing" in change_line(changed(pause_requested=True))
    assert "until it is resumed" in change_line(changed(state=JobState.PAUSED, worker=None))
