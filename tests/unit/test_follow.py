"""Following jobs over scripted reads: what is reported, when it ends, and what a database that goes away does to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tasks.errors import DatabaseUnavailable
from tasks.follow import Patient, changes, follow
from tasks.store.summaries import JobSummary
from tasks.types import Budget, Egress, JobState, Lane, Spend

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
JOB = JobSummary(
    job=17,
    title="t",
    state=JobState.RUNNING,
    reason="",
    acceptance=None,
    strategy="correct",
    iterations=3,
    score=0.5,
    answer=None,
    answer_iteration=None,
    owner="ada",
    tags=(),
    spend=Spend(usd=Decimal(0), local_tokens=0, cloud_tokens=0),
    budget=Budget(),
    lane=Lane.GPU,
    egress=Egress.NEVER,
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
    now=NOON,
)


def changed(**fields: Any) -> JobSummary:
    return dataclasses.replace(JOB, **fields)


def looks(*jobs: JobSummary, timeout: float | None = None, pauses: list[float] | None = None) -> Iterator[Any]:
    script = iter(jobs)
    record = pauses if pauses is not None else []
    return follow(lambda: {17: next(script)}, record.append, timeout=timeout, poll_seconds=0.5)


def test_changes_are_reported_once_and_end_with_the_last_job() -> None:
    script = [JOB, changed(live_tokens=999), changed(score=0.75), changed(state=JobState.UNSOLVED)]
    pauses: list[float] = []
    assert list(changes(looks(*script, pauses=pauses))) == [script[0], script[2], script[3]]
    assert pauses == [0.5, 0.5, 0.5]


def test_following_looks_once_though_there_is_no_time_left() -> None:
    assert list(looks(JOB, timeout=0)) == [{17: JOB}]


def test_nothing_to_follow_ends_at_once() -> None:
    assert list(follow(dict, lambda _: None, timeout=None, poll_seconds=1)) == [{}]


class Away:
    """A read that works, then fails so often, then works again."""

    def __init__(self, *works: bool) -> None:
        self._works = iter(works)

    def __call__(self) -> str:
        if next(self._works):
            return "read"
        raise DatabaseUnavailable("away")


def test_a_database_that_was_never_there_is_an_error_at_once() -> None:
    pauses: list[float] = []
    with pytest.raises(DatabaseUnavailable):
        Patient(sleep=pauses.append)(Away(False))
    assert pauses == []


def test_one_that_goes_away_is_read_again_with_growing_pauses() -> None:
    pauses: list[float] = []
    patient, read = Patient(sleep=pauses.append), Away(True, False, False, False, True)
    assert [patient(read), patient(read)] == ["read", "read"]
    assert pauses == sorted(pauses)
    assert len(pauses) == 3


def test_one_that_stays_away_is_an_error_in_the_end() -> None:
    patient = Patient(0, sleep=lambda _: None)
    read = Away(True, False)
    patient(read)
    with pytest.raises(DatabaseUnavailable):
        patient(read)
