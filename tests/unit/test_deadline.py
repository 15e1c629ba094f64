"""A request to a model ends with its job's hours; what it brought by then is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tasks.deadline import DEADLINE, NO_DEADLINE, Deadline, TimedHeartbeat
from tasks.errors import Cancelled, LimitReached
from tasks.heartbeat import SilentHeartbeat
from tasks.journal import JournalledModel
from tasks.judge_panel import ModelJudgePanel
from tasks.llm.scripted import ScriptedModel
from tasks.policy import deadline_of
from tasks.retries import WARMER
from tasks.sampling import Sampling
from tasks.turn import Turn
from tasks.types import (
    Budget,
    CallKey,
    Candidate,
    CandidateRef,
    ChatRequest,
    CheckSpec,
    Cut,
    Operator,
    Prompt,
    Verdict,
)
from tests.doubles import Journal
from tests.turns import StoppedClock, job_of, turn_of

KEY = CallKey(iteration=1, operator=Operator.DRAFT, slot=0, attempt=1)
STORY = "Once upon a time there was a queue that nobody could leave. It went on and on through seven streets."


class Ticking(SilentHeartbeat):
    """Moves the clock by `seconds` with each beat."""

    def __init__(self, clock: StoppedClock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds

    def beat(self, tokens: int = 0) -> None:
        self._clock.now += self._seconds


class Cancelling(SilentHeartbeat):
    """Has been cancelled."""

    def check(self) -> None:
        raise Cancelled("by its owner")


def prompt(cut: Cut) -> Prompt:
    return Prompt(system="", prefix="Tell me a story.")


def model(journal: Journal, answer: Callable[[ChatRequest], str] = lambda _: STORY) -> JournalledModel:
    return JournalledModel(ledger=journal, model=ScriptedModel(answer), sampling=Sampling())  # type: ignore[arg-type]


def turn(clock: StoppedClock, seconds: float, heartbeat: SilentHeartbeat | None = None) -> Turn:
    """A turn whose hours are over `seconds` from now."""
    return turn_of(job_of(), heartbeat=heartbeat, deadline=Deadline(at=clock.now + seconds, hours=0.5, clock=clock))


def test_hours_that_are_over_are_a_limit_with_its_numbers() -> None:
    clock = StoppedClock()
    deadline = Deadline(at=clock.now + 10, hours=0.5, clock=clock)
    deadline.check()
    clock.now += 10 + 360
    with pytest.raises(LimitReached) as reached:
        deadline.check()
    assert (reached.value.type, reached.value.limit) == ("hours", 0.5)
    assert reached.value.value == pytest.approx(0.6)


def test_a_cancel_goes_before_the_hours() -> None:
    late = Deadline(at=0.0, hours=1.0, clock=lambda: 1.0)
    with pytest.raises(Cancelled):
        TimedHeartbeat(heartbeat=Cancelling(), deadline=late).check()
    with pytest.raises(LimitReached), TimedHeartbeat(heartbeat=SilentHeartbeat(), deadline=late).calling(KEY) as call:
        call.check()


def test_without_hours_nothing_is_ever_over() -> None:
    assert not NO_DEADLINE.passed
    NO_DEADLINE.check()


def test_the_deadline_is_what_the_databases_clock_left_of_the_hours() -> None:
    started = datetime(2026, 1, 1, tzinfo=UTC)
    job = dataclasses.replace(
        job_of(budget=Budget(hours=2.0)), started_at=started, read_at=started + timedelta(hours=3), idle_seconds=5400
    )
    clock = StoppedClock()
    deadline = deadline_of(job, clock)
    assert deadline.at == clock.now + 1800
    assert not deadline.passed
    clock.now += 1800
    assert deadline.passed


def test_a_call_is_cut_when_the_hours_are_over_and_what_it_wrote_is_kept() -> None:
    clock, journal = StoppedClock(), Journal()
    with pytest.raises(LimitReached, match="hours"):
        model(journal).ask(turn(clock, 100, Ticking(clock, 40)), KEY, prompt)
    ((key, (_, _, completion)),) = journal.calls.items()
    assert key == KEY
    assert completion.finish_reason == DEADLINE
    assert completion.text
    assert STORY.startswith(completion.text)
    assert 0 < completion.completion_tokens < len(STORY) // 4


def test_no_call_begins_after_the_hours() -> None:
    clock, journal = StoppedClock(), Journal()
    with pytest.raises(LimitReached, match="hours"):
        model(journal).ask(turn(clock, 0), KEY, prompt)
    assert not journal.calls


def test_a_call_that_is_in_the_journal_is_found_after_the_hours_too() -> None:
    clock, journal = StoppedClock(), Journal()
    first = model(journal).ask(turn(clock, 100), KEY, prompt)
    assert model(journal).ask(turn(clock, 0), KEY, prompt) == first


def test_a_job_that_has_got_more_hours_makes_the_cut_call_again() -> None:
    clock, journal = StoppedClock(), Journal()
    with pytest.raises(LimitReached):
        model(journal).ask(turn(clock, 100, Ticking(clock, 40)), KEY, prompt)
    assert model(journal).ask(turn(clock, 1000), KEY, prompt).text == STORY
    first, second = (request for request, _, _ in journal.calls.values())
    assert [key.attempt for key in journal.calls] == [1, 2]
    assert second.temperature == first.temperature < first.temperature + WARMER
    assert second.messages == first.messages
    assert second.seed != first.seed


def test_a_vote_that_the_hours_cut_short_is_cast_again_once_there_are_more() -> None:
    clock, journal = StoppedClock(), Journal()
    panel = ModelJudgePanel(model=model(journal, lambda request: "PASS" if request.choices else STORY))
    rubric = CheckSpec(name="judge", kind="judge", value="It is a story.")
    job, ref = job_of(checks=(rubric,)), CandidateRef(iteration=1, slot=0)
    candidate = Candidate(ref=ref, operator=Operator.DRAFT, text="A tale.", root=ref)

    def judged(seconds: float, tick: float) -> Verdict:
        deadline = Deadline(at=clock.now + seconds, hours=0.5, clock=clock)
        (verdict,) = panel.judge(turn_of(job, heartbeat=Ticking(clock, tick), deadline=deadline), candidate, [rubric])
        return verdict

    with pytest.raises(LimitReached):
        judged(100, 40)
    (cut,) = journal.calls
    assert judged(10_000, 1).passed
    again = next(key for key in list(journal.calls)[1:])
    assert (again.step, again.vote, again.attempt) == (cut.step, cut.vote, cut.attempt + 1)
