"""Changing the checks and the title of a job on a real Postgres: they hold from the next iteration on, judge anew what
there is, and no answer is accepted that they have not judged, whoever is killed meanwhile."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from sqlalchemy import text

from tasks.errors import ChecksChanged, InvalidInput
from tasks.heartbeat import SilentHeartbeat
from tasks.llm.scripted import ScriptedModel
from tasks.store import check_edits, lifecycle
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import edits_of, job_history, job_summary
from tasks.store.session import Database
from tasks.store.submissions import submit_jobs
from tasks.types import (
    Budget,
    Changes,
    ChatRequest,
    CheckSpec,
    Draft,
    JobSpec,
    JobState,
    Recheck,
    Revise,
    Stop,
    StopCode,
)
from tests.doubles import Death, Killed, Mortal
from tests.integration.store.lifecycle.histories import WON, held, iterate
from tests.loops import ENGINE_AND_CHECKS, outlive, run, take, twin_loop

pytestmark = pytest.mark.integration
WRONG = CheckSpec(name="answer", kind="answer", value={"exact": "17"})
RIGHT = dataclasses.replace(WRONG, value={"exact": "18"})
HIDDEN = CheckSpec(name="answer#2", kind="answer", value={"regex": "1."}, held_out=True)
CHANGED = Changes(checks=(RIGHT,))


def put(user: Database, *checks: CheckSpec, **fields: Any) -> int:
    fields = {"title": "Posts", "problem": "How many posts does the fence need?", "memory": False, **fields}
    return submit_jobs(user, [JobSpec(checks=checks or (WRONG,), **fields)])[0].job


def eighteen(request: ChatRequest) -> str:
    """Says what is right, which the first check refuses."""
    return "ANSWER: 18"


def one_turn(fleet: Database, ledger: Any, model: ScriptedModel) -> None:
    claim = take(fleet)
    assert claim is not None
    twin_loop(ledger, model).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())


def operators(user: Database, job: int) -> list[str]:
    return [row.operator for row in job_history(user, job)]


def test_what_was_refused_by_a_wrong_check_is_accepted_by_the_right_one_without_another_call(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job, model = put(user), ScriptedModel(eighteen)
    one_turn(fleet, ledger, model)
    assert job_summary(user, job).score == 0.0
    assert lifecycle.edit(user, job, CHANGED) is JobState.RUNNING
    [made] = edits_of(user, job)
    assert (made.waits, made.iteration, made.iterations) == (True, None, 1)
    run(fleet, ledger, model)
    summary = job_summary(user, job)
    assert (summary.state, summary.answer_iteration, summary.score) == (JobState.ACCEPTED, 2, 1.0)
    assert operators(user, job) == ["draft", "recheck"]
    with fleet.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM calls")).scalar_one() == 1
    [made] = edits_of(user, job)
    assert (made.by, made.waits, made.iteration) == ("alice", False, 2)
    assert made.before["checks"] != made.after["checks"]
    # The verdict of the first iteration is the one of the check that it had.
    first, second = job_history(user, job)
    assert [(verdict.check, verdict.passed) for verdict in first.verdicts] == [("answer", False)]
    assert [(verdict.check, verdict.passed) for verdict in second.verdicts] == [("answer", True)]
    assert breaches(fleet, submitted=[job], drained=True) == ()


def test_an_answer_that_passed_while_a_check_was_added_is_judged_by_it_before_it_is_accepted(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, RIGHT, budget=Budget(iterations=3), strategy="single")
    claim = held(fleet)
    ledger.begin(claim, 1, Draft(slots=1), ())
    before = ledger.load(claim)
    harder = dataclasses.replace(HIDDEN, value={"regex": "2."})
    lifecycle.edit(user, job, Changes(checks=(RIGHT, harder)))
    # Decided before the change was known: refused, and nothing of it is stored.
    with pytest.raises(ChecksChanged):
        iterate(ledger, claim, 1, dataclasses.replace(WON, detail="1.0"), 1.0)
    assert job_summary(user, job).iterations == 0
    assert (before.new_checks, ledger.refresh(claim, before).new_checks) == (False, True)
    outlive(fleet)
    run(fleet, ledger, ScriptedModel(eighteen))
    summary = job_summary(user, job)
    assert (summary.state, summary.stop_code) == (JobState.UNSOLVED, StopCode.DRAFT_REJECTED)
    assert operators(user, job) == ["draft", "recheck"]
    assert breaches(fleet, submitted=[job], drained=True) == ()


def test_an_iteration_that_is_under_way_keeps_its_checks(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    claim = held(fleet)
    ledger.begin(claim, 1, Draft(slots=1), ())
    iterate(ledger, claim, 1, Revise(parents=()), 0.5)
    claim = held(fleet)
    assert ledger.load(claim).open is not None
    model = ScriptedModel(eighteen)
    lifecycle.edit(user, job, Changes(checks=(RIGHT, HIDDEN), title="Fence posts"))
    loaded = ledger.load(claim)  # nothing of iteration 2 is made: it is decided anew, on nothing that was judged
    assert (loaded.spec.checks, loaded.spec.title) == ((RIGHT, HIDDEN), "Fence posts")
    assert (loaded.open, loaded.history, len(loaded.earlier), loaded.new_checks) == (None, (), 1, False)
    twin_loop(ledger, model).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
    assert operators(user, job) == ["draft", "recheck"]
    # Judged by other checks, the incumbent scores less than before, and is the incumbent all the same.
    assert (job_summary(user, job).score, job_summary(user, job).answer_iteration) == (0.0, 2)
    assert breaches(fleet) == ()


def test_a_title_alone_leaves_what_was_decided(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user)
    claim = held(fleet)
    ledger.begin(claim, 1, Draft(slots=1), ())
    iterate(ledger, claim, 1, Draft(slots=1, restart=True), 0.5)
    lifecycle.edit(user, job, Changes(title="Fence posts"))
    loaded = ledger.load(held(fleet))
    assert (loaded.spec.title, len(loaded.history), loaded.earlier) == ("Fence posts", 1, ())
    assert loaded.open is not None
    assert job_summary(user, job).title == "Fence posts"
    assert edits_of(user, job)[0].iteration == 2


def test_a_second_change_builds_on_the_first_or_is_refused(user: Database) -> None:
    job = put(user)
    lifecycle.edit(user, job, CHANGED)
    checks, last = check_edits.checks_of(user, job)
    assert checks == (RIGHT,)
    with pytest.raises(InvalidInput, match="its checks were changed by somebody else just now"):
        lifecycle.edit(user, job, Changes(checks=(HIDDEN,)))
    with pytest.raises(InvalidInput, match="it has all of that already"):
        lifecycle.edit(user, job, Changes(checks=(RIGHT,), checks_edit=last))
    lifecycle.edit(user, job, Changes(checks=(RIGHT, HIDDEN), checks_edit=last))
    assert check_edits.checks_of(user, job)[0] == (RIGHT, HIDDEN)


def test_a_fork_begins_with_the_checks_that_its_job_has(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, budget=Budget(iterations=2))
    one_turn(fleet, ledger, ScriptedModel(eighteen))
    lifecycle.edit(user, job, Changes(checks=(dataclasses.replace(WRONG, value={"exact": "19"}),)))
    run(fleet, ledger, ScriptedModel(eighteen))
    assert job_summary(user, job).state is JobState.UNSOLVED
    made = lifecycle.fork(user, job, 1, Changes(iterations=9))
    claim = held(fleet)
    loaded = ledger.load(claim)
    assert (loaded.id, loaded.history, len(loaded.earlier)) == (made, (), 1)
    twin_loop(ledger, ScriptedModel(eighteen)).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
    assert operators(user, made) == ["draft", "recheck"]
    assert breaches(fleet) == ()


def test_a_fork_has_the_newest_checks_and_title_though_no_iteration_has_seen_them(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, budget=Budget(iterations=4))
    one_turn(fleet, ledger, ScriptedModel(eighteen))
    lifecycle.edit(user, job, Changes(checks=(HIDDEN,), title="Fence posts"))
    last = check_edits.checks_of(user, job)[1]
    lifecycle.edit(user, job, Changes(checks=(RIGHT,), checks_edit=last, priority=9))
    made = lifecycle.fork(user, job, 1, Changes())
    assert check_edits.checks_of(user, made)[0] == (RIGHT,)
    one, other = edits_of(user, made)
    assert [(edit.by, edit.at, edit.after) for edit in (one, other)] == [
        (edit.by, edit.at, edit.after) for edit in edits_of(user, job)
    ]
    lifecycle.request_cancel(user, job)
    run(fleet, ledger, ScriptedModel(eighteen))
    summary = job_summary(user, made)
    assert (summary.title, summary.state, summary.answer) == ("Fence posts", JobState.ACCEPTED, "ANSWER: 18")
    assert operators(user, made) == ["draft", "recheck"]
    assert breaches(fleet, submitted=[made], drained=True) == ()


def test_without_an_iteration_left_an_answer_that_has_still_to_be_judged_is_not_accepted(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, RIGHT, budget=Budget(iterations=1))
    claim = held(fleet)
    ledger.begin(claim, 1, Draft(slots=1), ())

    def meanwhile(request: ChatRequest) -> str:
        lifecycle.edit(user, job, Changes(checks=(RIGHT, HIDDEN)))
        return "ANSWER: 18"

    twin_loop(ledger, ScriptedModel(meanwhile)).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
    summary = job_summary(user, job)
    assert (summary.state, summary.stop_code) == (JobState.UNSOLVED, StopCode.BUDGET_ITERATIONS)
    lifecycle.edit(user, job, Changes(iterations=2))
    run(fleet, ledger, ScriptedModel(eighteen))
    assert job_summary(user, job).state is JobState.ACCEPTED
    assert breaches(fleet, submitted=[job], drained=True) == ()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_write_changes_nothing(user: Database, fleet: Database, after: bool) -> None:
    for nth in itertools.count():
        job, model, death = put(user), ScriptedModel(eighteen), Death(nth, after=after)
        mortal = Mortal(PostgresLedger(fleet, fault_cap=3), death)
        edited = False
        while job_summary(user, job).state is not JobState.ACCEPTED:
            if not edited and job_summary(user, job).iterations == 1:
                lifecycle.edit(user, job, CHANGED)
                edited = True
            claim = take(fleet)
            if claim is None:
                outlive(fleet, crash_cap=99)
                continue
            try:
                twin_loop(mortal, model).turn(claim, ENGINE_AND_CHECKS, SilentHeartbeat())
            except Killed:
                outlive(fleet, crash_cap=99)
        assert operators(user, job) == ["draft", "recheck"]
        assert breaches(fleet, submitted=[job], drained=True) == ()
        if not death.at:
            break
    assert nth > 8


def test_a_change_of_checks_stays_a_decision_of_the_next_iteration(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, budget=Budget(iterations=4))
    claim = held(fleet)
    ledger.begin(claim, 1, Draft(slots=1), ())
    iterate(ledger, claim, 1, Recheck(parents=()), 0.5)
    lifecycle.edit(user, job, CHANGED)
    loaded = ledger.load(held(fleet))
    assert loaded.open is not None
    assert isinstance(loaded.open.move, Recheck)
    assert not isinstance(loaded.ended, Stop)
