"""Why a job does not move, in one sentence."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tasks.kinds import JobState
from tests.unit.cli.test_watchview import LINE, WORKER
from workers.cli.waiting import notes, why

WAITING = dataclasses.replace(LINE, worker=None)
SICK = dataclasses.replace(
    WORKER, lanes=("check",), closed_lanes=("gpu",), engine_fault="its GPU has gone", fault_seconds=75.0
)


def job(**fields: Any) -> Any:
    return dataclasses.replace(WAITING, **fields)


def test_nothing_holds_up_a_job_that_a_worker_may_take_or_has_taken() -> None:
    assert why(WAITING, [WORKER]) == ""
    assert why(LINE, [WORKER]) == ""
    assert why(job(state=JobState.ACCEPTED), []) == ""
    assert why(job(state=JobState.PAUSED), []) == ""


@pytest.mark.parametrize(
    ("of", "workers", "sentence"),
    [
        ({}, [], "no worker is running"),
        ({}, [dataclasses.replace(WORKER, live=False)], "no worker is running"),
        ({}, [dataclasses.replace(WORKER, lanes=("check",))], "no worker serves lane gpu"),
        ({}, [SICK], "waits for the engine: its GPU has gone, for 1m15s"),
        ({"worker": "w"}, [SICK], "waits for the engine: its GPU has gone, for 1m15s"),
        ({"worker": "w", "next_lane": "check"}, [SICK], ""),
        ({"next_lane": "check"}, [SICK], ""),
        ({}, [SICK, dataclasses.replace(WORKER, name="v")], ""),
        (
            {},
            [dataclasses.replace(SICK, live=False, lanes=(), silent_seconds=90.0)],
            "waits for the engine: its GPU has gone, for 1m15s; its worker was last seen 1m30s ago",
        ),
        ({"model": "other"}, [WORKER], "no worker serves model other now"),
        ({"model": "other"}, [], "no worker serves model other now"),
        ({"model": "other"}, [SICK], "waits for the engine: its GPU has gone, for 1m15s"),
        ({"waits_for": "ada has used all of today", "resting_seconds": 9.0}, [WORKER], "ada has used all of today"),
        ({"resting_seconds": 12.4}, [WORKER], "tries again in 12s after a fault"),
    ],
)
def test_one_sentence_says_what_holds_a_job_up(of: dict[str, Any], workers: list[Any], sentence: str) -> None:
    assert why(job(**of), workers) == sentence


def test_a_long_problem_waits_for_a_larger_context() -> None:
    assert "context of more than 8.2k tokens" in why(job(context_above=8192), [WORKER])
    assert why(job(context_above=4096), [WORKER]) == ""


def test_jobs_with_one_reason_are_one_line() -> None:
    many = [job(job=number) for number in range(30, 0, -1)]
    (line,) = notes(many, [])
    assert line == "jobs 1, 2, 3, 4, 5, 6, 7, 8 and 22 more: no worker is running"
