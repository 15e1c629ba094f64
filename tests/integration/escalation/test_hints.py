"""The rungs of help on a real Postgres: hints, which the next prompts carry, before a whole answer; each is asked for
once, whatever is killed. The stand-in advises."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from sqlalchemy import text

from tasks.crashpoints import CrashPoint, armed
from tasks.heartbeat import SilentHeartbeat
from tasks.store.costs import CostBy, costs
from tasks.store.invariants import breaches
from tasks.store.queries import job_egress, job_history, job_summary
from tasks.store.session import Database
from tasks.types import Budget, ChatRequest, Egress, JobState
from tests.chaos.crashes import Fatal
from tests.doubles import Killed
from tests.integration.escalation.cases import ALL, RIGHT, TRY, loop, put, rows, run
from tests.loops import outlive, take
from tests.standin.responses import Rule, StandIn, serving

pytestmark = pytest.mark.integration
_CLOUD = {
    CrashPoint.INTENDED,
    CrashPoint.POSTED,
    CrashPoint.IDENTIFIED,
    CrashPoint.ANSWERED,
    CrashPoint.SETTLED,
}
LOST = (JobState.UNSOLVED, ["unknown"], "", 0)
ORACLE = Rule(contains="Write the advice now", answer="Ask the oracle, and believe it.")
LAST = Rule(contains="Below is the best that it has", answer="The number has four digits.")


def advised(request: ChatRequest) -> str:
    """Right where the oracle was named to it."""
    return "ANSWER: 4711" if "Ask the oracle" in request.messages[-1].content else TRY


def prompts(fleet: Database, job: int) -> dict[int, list[str]]:
    """The prompts of the local model's calls, by iteration."""
    query = text("SELECT iteration, request FROM calls WHERE job_id = :job AND operator <> 'escalate' ORDER BY id")
    found: dict[int, list[str]] = {}
    with fleet.connect() as connection:
        for row in connection.execute(query, {"job": job}):
            found.setdefault(row.iteration, []).append(str(row.request))
    return found


def test_a_job_that_no_hint_helps_is_asked_for_twice_and_then_answered(
    user: Database, fleet: Database, admin_url: str
) -> None:
    with serving([LAST, ORACLE, RIGHT]) as standin:
        job = put(user, budget=Budget(iterations=12))
        run(fleet, standin.url, hints=2)
    history = job_history(user, job)
    local = ["draft", "revise"], ["restart", "revise"]
    assert [i.operator for i in history] == [*local[0], "hint", *local[1], "hint", *local[1], "escalate"]
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert [row.kind for row in rows(fleet, job)] == ["hint", "hint on best", "answer"]
    assert standin.posts == 3
    assert history[1].decision == "escalate (hint): 2 iterations were rejected"
    assert history[4].decision == "escalate (hint on best): 2 iterations were rejected since help came"
    assert (history[2].hint, history[2].candidate) == (ORACLE.answer, None)
    assert (history[5].hint, history[5].usd > 0) == (LAST.answer, True)
    first, second, _ = (str(body["input"]) for body in standin.bodies)
    assert TRY not in first
    assert TRY in second
    assert "A hidden check failed." in second
    assert ORACLE.answer in second
    assert not any("4711" in str(body) or "answer:hidden" in str(body) for body in standin.bodies)
    for iteration, shown in prompts(fleet, job).items():
        assert all((ORACLE.answer in prompt) is (iteration > 3) for prompt in shown)
        assert all((LAST.answer in prompt) is (iteration > 6) for prompt in shown)
    left = job_egress(user, job)
    assert [one.kind for one in left] == ["hint", "hint on best", "answer"]
    assert [(one.score_before, one.score_after, one.accepted) for one in left] == [
        (0.5, 0.5, False),
        (0.5, 0.5, False),
        (0.5, 1.0, True),
    ]
    with user.connect() as connection:
        by_help = {row.of: row for row in costs(user, CostBy.HELP)}
        assert set(by_help) == {"hint", "hint on best", "answer", "local"}
        assert connection.execute(text("SELECT sum(usd) FROM escalation_history")).scalar_one() == sum(
            row.usd for row in by_help.values()
        )
    with Database(admin_url) as admin:
        assert breaches(admin, submitted=[job], drained=True) == ()


def test_a_job_whose_egress_is_hint_is_advised_and_never_answered(user: Database, fleet: Database) -> None:
    with serving([ORACLE, RIGHT]) as standin:
        job = put(user, egress=Egress.HINT, budget=Budget(iterations=10))
        run(fleet, standin.url, hints=2)
        assert (standin.posts, job_summary(user, job).state) == (2, JobState.UNSOLVED)
    assert [row.kind for row in rows(fleet, job)] == ["hint", "hint on best"]


def test_the_local_model_does_the_work_that_the_hint_advises(user: Database, fleet: Database, admin_url: str) -> None:
    with serving([ORACLE]) as standin:
        job = put(user, egress=Egress.HINT)
        run(fleet, standin.url, hints=1, answer=advised)
    summary = job_summary(user, job)
    assert (summary.state, summary.answer) == (JobState.ACCEPTED, "ANSWER: 4711")
    assert [i.operator for i in job_history(user, job)] == ["draft", "revise", "hint", "restart"]
    with Database(admin_url) as admin:
        assert breaches(admin, submitted=[job], drained=True) == ()


@pytest.mark.parametrize("answer", ["Go on. " * 400, "", "  \n"], ids=["repeats itself", "has no text", "has no words"])
def test_a_hint_that_is_none_is_shown_to_nobody(user: Database, fleet: Database, answer: str) -> None:
    with serving([Rule(contains="Write the advice now", answer=answer), RIGHT]) as standin:
        job = put(user, budget=Budget(iterations=8))
        run(fleet, standin.url, hints=1)
    assert job_history(user, job)[2].hint == ""
    assert not any("# Advice" in prompt for shown in prompts(fleet, job).values() for prompt in shown)
    assert job_summary(user, job).state is JobState.ACCEPTED


def test_whatever_is_killed_a_hint_is_asked_for_once_and_used_once(
    user: Database, fleet: Database, admin_url: str
) -> None:
    """Each point that a hint passes, in its own iteration."""
    with serving([ORACLE]) as standin:
        expected, passed = _outcome(user, fleet, standin, Fatal())
        third = [(point, 3) for point in (CrashPoint.DECIDED, CrashPoint.RECORDING, CrashPoint.RECORDED)]
        cloud = [(point, n) for point, n in passed if point in _CLOUD]
        assert {point for point, _ in cloud} == _CLOUD
        for at in (*cloud, *third):
            posts = standin.posts
            fatal = Fatal(at)
            got, _ = _outcome(user, fleet, standin, fatal)
            assert fatal.deaths.total() == 1, at
            assert standin.posts - posts <= 1, at
            lost = at[0] in (CrashPoint.INTENDED, CrashPoint.POSTED)
            assert got == (LOST if lost else expected), at
    with Database(admin_url) as admin:
        assert breaches(admin, drained=True) == ()


def _outcome(
    user: Database, fleet: Database, standin: StandIn, fatal: Fatal
) -> tuple[Any, list[tuple[CrashPoint, int]]]:
    """A job's end, the states of its escalations, the hint that is kept, and the prompts that carry it; and what it
    passed."""
    job = put(user, egress=Egress.HINT, budget=Budget(iterations=6))
    with armed(fatal):
        for _ in itertools.count():
            claim = take(fleet, *ALL)
            if claim is None:
                break
            try:
                loop(fleet, standin.url, hints=1, answer=advised).turn(claim, ALL, SilentHeartbeat())
            except Killed:
                outlive(fleet, crash_cap=9)
    shown = [prompt for made in prompts(fleet, job).values() for prompt in made if ORACLE.answer in prompt]
    states = [row.state for row in rows(fleet, job)]
    hint = job_history(user, job)[2].hint
    return (job_summary(user, job).state, states, hint, len(shown)), fatal.passings()


@pytest.mark.parametrize("listed", [True, False])
def test_a_model_that_is_retired_is_followed_by_the_next_which_alone_is_charged(
    user: Database, fleet: Database, admin_url: str, listed: bool
) -> None:
    """Before anything is reserved, where the provider's list says so; else when it refuses the request."""
    with serving([RIGHT]) as standin:
        standin.retired = frozenset({"gpt-5.4"})
        standin.models = ("gpt-5.4", "gpt-5.4-mini") if listed else ("gpt-5.4-mini",)
        job = put(user)
        run(fleet, standin.url, fallbacks=("gpt-5.4-mini",))
        assert [body["model"] for body in standin.bodies] == ["gpt-5.4", "gpt-5.4-mini"][0 if listed else 1 :]
        assert len(standin.made) == 1
    (asked,) = rows(fleet, job)
    assert (asked.model, asked.state, asked.request["model"]) == ("gpt-5.4-mini", "done", "gpt-5.4-mini")
    summary = job_summary(user, job)
    assert (summary.state, summary.spend.usd) == (JobState.ACCEPTED, asked.usd)
    with fleet.connect() as connection:
        noted = list(connection.execute(text("SELECT detail FROM events WHERE kind = 'model retired'")).scalars())
    assert noted == (["gpt-5.4 is served no more: gpt-5.4-mini is asked"] if listed else [])
    with Database(admin_url) as admin:
        assert breaches(admin, submitted=[job], drained=True) == ()
