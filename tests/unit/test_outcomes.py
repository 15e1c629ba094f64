from __future__ import annotations

import errno
from typing import Any, cast

import pytest

from tasks.errors import (
    AttachmentLost,
    BatchLimitReached,
    BatchReserved,
    Cancelled,
    CloudWaits,
    DailyLimitReached,
    DailyReserved,
    DatabaseUnavailable,
    EgressForbidden,
    EngineFault,
    InvalidInput,
    JournalMismatch,
    LeaseLost,
    LimitReached,
    MalformedJob,
    NeedsLane,
    Paused,
    PluginUnavailable,
    PromptTooLong,
    ShuttingDown,
)
from tasks.outcomes import settle
from tasks.types import Claim, Lane, Stop, StopCode

CLAIM = Claim(job=7, epoch=1, worker="w", turn="t")


class Book:
    """A ledger that keeps what is written to it, in words."""

    def __init__(self) -> None:
        self.stops: list[Stop] = []
        self.handed_over: list[tuple[Lane, dict[str, Any]]] = []
        self.notes: list[tuple[str, str]] = []

    def stop(self, claim: Claim, decision: Stop) -> None:
        self.stops.append(decision)

    def hand_over(self, claim: Claim, lane: Lane, **fields: Any) -> None:
        self.handed_over.append((lane, fields))

    def wait(self, claim: Claim, lane: Lane, why: str, **fields: Any) -> None:
        self.handed_over.append((lane, {"waits_for": why, **fields}))

    def note(self, claim: Claim, kind: str, detail: str) -> None:
        self.notes.append((kind, detail))


def settled(error: Exception, *secrets: str) -> Book:
    book = Book()
    settle(cast(Any, book), CLAIM, Lane.CHECK, error, secrets)
    return book


@pytest.mark.parametrize(
    ("error", "stop"),
    [
        (
            LimitReached("tokens", 90, 100, needed=20),
            Stop(code=StopCode.BUDGET_TOKENS, used=90, limit=100, needed=20),
        ),
        (
            BatchLimitReached("tokens", 90, 100, needed=20),
            Stop(code=StopCode.BATCH_TOKENS, used=90, limit=100, needed=20),
        ),
        (LimitReached("hours", 4.5, 4), Stop(code=StopCode.BUDGET_HOURS, used=4.5, limit=4)),
        (PromptTooLong(5000, 3072), Stop(code=StopCode.CONTEXT, used=5000, limit=3072)),
        (Cancelled(), Stop(code=StopCode.CANCELLED)),
        (JournalMismatch("j"), Stop(code=StopCode.JOURNAL_MISMATCH, detail="j")),
        (AttachmentLost("a"), Stop(code=StopCode.ATTACHMENT_LOST, detail="a")),
        (MalformedJob("m"), Stop(code=StopCode.MALFORMED, detail="m")),
    ],
)
def test_what_ends_a_job_stops_it_with_its_code_and_numbers(error: Exception, stop: Stop) -> None:
    book = settled(error)
    assert (book.stops, book.handed_over, book.notes) == ([stop], [], [])


@pytest.mark.parametrize(
    ("error", "lane", "fields"),
    [
        (Paused(), Lane.CHECK, {"delay_seconds": 0.0}),
        (BatchReserved("b"), Lane.CHECK, {"delay_seconds": 2.0}),
        (ShuttingDown(), Lane.CHECK, {"interrupted": True}),
        (NeedsLane(Lane.CLOUD), Lane.CLOUD, {}),
        (EngineFault("hung up"), Lane.CHECK, {"fault": "engine: hung up"}),
        (
            PluginUnavailable("strategy", "x"),
            Lane.CHECK,
            {"fault": "strategy 'x' is not on this worker", "code": StopCode.MISSING_PLUGIN},
        ),
        (
            PluginUnavailable("check", "x", "SyntaxError: no"),
            Lane.CHECK,
            {"fault": "check 'x' is broken on this worker: SyntaxError: no", "code": StopCode.MISSING_PLUGIN},
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            Lane.CHECK,
            {"fault": "worker: OSError: [Errno 28] No space left on device"},
        ),
    ],
)
def test_what_another_turn_may_do_better_hands_the_job_over(
    error: Exception, lane: Lane, fields: dict[str, Any]
) -> None:
    book = settled(error)
    assert (book.stops, book.handed_over, book.notes) == ([], [(lane, fields)], [])


@pytest.mark.parametrize("error", [LeaseLost("stale"), DatabaseUnavailable("gone")])
def test_where_nothing_can_be_written_nothing_is(error: Exception) -> None:
    book = Book()
    with pytest.raises(type(error)):
        settle(cast(Any, book), CLAIM, Lane.GPU, error)
    assert (book.stops, book.handed_over, book.notes) == ([], [], [])


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("7/0"), FileNotFoundError(2, "f"), EgressForbidden("never"), InvalidInput("f", 1, "2")]
)
def test_what_nobody_expects_is_a_defect_with_its_traceback_in_the_events(error: Exception) -> None:
    book = settled(error)
    assert [stop.code for stop in book.stops] == [StopCode.DEFECT]
    assert book.stops[0].detail.split(":")[0].endswith(type(error).__name__)
    assert book.handed_over == []
    [(kind, detail)] = book.notes
    assert kind == "defect"
    assert type(error).__name__ in detail


def test_a_defect_gives_no_secret_away() -> None:
    book = settled(ValueError("it was s3cret"), "s3cret")
    assert "s3cret" not in book.stops[0].detail + book.notes[0][1]
    assert book.stops[0].detail == "ValueError: it was ***"


def test_a_limit_of_the_day_makes_a_job_wait_until_the_day_is_over_and_its_hours_stand_still() -> None:
    book = settled(DailyLimitReached("owner ada has used all", 4321.0))
    assert book.handed_over == [(Lane.CHECK, {"waits_for": "owner ada has used all", "seconds": 4321.0, "idle": True})]
    assert book.stops == []


def test_what_calls_in_flight_hold_of_the_day_is_looked_at_again_soon() -> None:
    ((lane, fields),) = settled(DailyReserved("calls in flight hold the rest")).handed_over
    assert (lane, fields["waits_for"]) == (Lane.CHECK, "calls in flight hold the rest")
    assert fields["seconds"] < 10


def test_a_job_whose_escalation_waits_comes_back_on_the_clouds_lane_after_that_time() -> None:
    book = settled(CloudWaits(20.5, "429"))
    ((lane, fields),) = book.handed_over
    assert (lane, fields["seconds"], book.stops, book.notes) == (Lane.CLOUD, 20.5, [], [])
    assert "429" in fields["waits_for"]
