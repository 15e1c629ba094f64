"""Forks on a real Postgres: which iterations they begin with, and which are refused."""

from __future__ import annotations

import pytest

from tasks.errors import InvalidInput
from tasks.store import lifecycle
from tasks.store.invariants import breaches
from tasks.store.job_loader import load_job
from tasks.store.ledger import PostgresLedger
from tasks.store.queries import job_history, job_summary
from tasks.store.session import Database
from tasks.types import (
    Budget,
    CandidateRef,
    Changes,
    Draft,
    Stop,
    StopCode,
)
from tests.integration.store.lifecycle.histories import (
    CHECK,
    LESSON,
    SPENT,
    WON,
    change,
    held,
    iterate,
    put,
    run,
    value,
)

pytestmark = pytest.mark.integration


def test_a_fork_begins_with_the_iterations_it_was_asked_for_and_nothing_spent(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, key="k", seed=7)
    run(fleet, ledger, [(0.2, 0.5), (0.5, 0.1), (0.75,), (0.8,)])
    change(fleet, "UPDATE leases SET runnable = false")  # the original stands aside
    forked = lifecycle.fork(user, job, 3, Changes())
    claim = held(fleet)
    assert claim.job == forked
    old, new = load_job(user, job), ledger.load(claim)
    assert new.history == old.history[:3]
    assert (new.lessons, new.open) == ((LESSON,), None)
    assert (new.spend.local_tokens, new.spend.engine_seconds) == (0, 0.0)
    assert new.incumbent is not None
    assert (new.incumbent.ref, new.incumbent.score) == (CandidateRef(iteration=3, slot=0), 0.75)
    assert new.spec.key is None
    assert new.spec.seed != old.spec.seed
    assert (new.spec.title, new.spec.checks, new.spec.tags, new.owner) == ("t", (CHECK,), ("x",), "alice")
    assert [row.candidate for row in job_history(user, forked)] == ["try 1.1", "try 2.0", "try 3.0"]
    assert value(fleet, forked, "(forked_from, forked_iteration)::text") == f"({job},3)"
    iterate_from = Draft(slots=1)
    ledger.begin(claim, 4, iterate_from, ())
    iterate(ledger, claim, 4, Stop(code=StopCode.GAVE_UP, detail="enough"), 0.3)
    change(fleet, "UPDATE leases SET runnable = true WHERE job_id = (SELECT min(id) FROM jobs)")
    assert breaches(fleet, submitted=[job, forked]) == ()
    assert job_summary(user, forked).answer == "try 3.0"


def test_of_equal_candidates_a_fork_keeps_the_earlier(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user)
    run(fleet, ledger, [(0.2, 0.5), (0.5, 0.1), (0.9,)])
    forked = lifecycle.fork(user, job, 2, Changes())
    summary = job_summary(user, forked)
    assert (summary.answer, summary.answer_iteration, summary.score) == ("try 1.1", 1, 0.5)
    again = lifecycle.fork(user, forked, 1, Changes())  # a fork of a fork
    assert job_summary(user, again).answer == "try 1.1"
    assert breaches(fleet) == ()


def test_a_fork_keeps_an_answer_that_was_let_through_but_not_a_degenerate_one(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user)
    run(fleet, ledger, [(0.2,), (0.5,), (0.9,)])
    change(fleet, "UPDATE candidates SET let_through = 'template' WHERE iteration = 2")
    change(fleet, "UPDATE candidates SET guard = 'cycle' WHERE iteration = 3")
    forked = lifecycle.fork(user, job, 3, Changes())
    summary = job_summary(user, forked)
    assert (summary.answer, summary.answer_iteration, summary.score) == ("try 2.0", 2, 0.5)
    assert [row.let_through for row in job_history(user, forked)] == [None, "template", None]


def test_a_fork_takes_changes_and_two_forks_differ(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user, seed=2**31 - 1)
    run(fleet, ledger, [(0.2,)])
    one = lifecycle.fork(user, job, 1, Changes())
    two = lifecycle.fork(user, job, 1, Changes(seed=5, strategy="best_of_n", iterations=9, hours=1.5, tokens=7))
    specs = [load_job(user, number).spec for number in (one, two)]
    assert specs[0].seed not in (2**31 - 1, 5)
    assert 0 <= specs[0].seed < 2**31
    assert (specs[1].seed, specs[1].strategy) == (5, "best_of_n")
    assert specs[1].budget == Budget(iterations=9, hours=1.5, tokens=7)
    assert specs[0].budget == Budget()


@pytest.mark.parametrize(
    ("upto", "said"),
    [(0, "from 1 to 3"), (4, "from 1 to 3"), (3, "iteration 3 of job [0-9]+ holds the accepted answer")],
)
def test_a_fork_from_where_there_is_nothing_to_do_is_refused(
    user: Database, fleet: Database, ledger: PostgresLedger, upto: int, said: str
) -> None:
    job = put(user)
    with pytest.raises(InvalidInput, match="has recorded no iteration yet"):
        lifecycle.fork(user, job, 1, Changes())
    run(fleet, ledger, [(0.2,), (0.5,), (1.0,)], WON)
    with pytest.raises(InvalidInput, match=said):
        lifecycle.fork(user, job, upto, Changes())
    assert value(fleet, job, "(SELECT count(*) FROM jobs)") == 1


def test_a_fork_that_could_not_begin_an_iteration_is_refused(
    user: Database, fleet: Database, ledger: PostgresLedger
) -> None:
    job = put(user, budget=Budget(iterations=2))
    run(fleet, ledger, [(0.2,), (0.5,)], SPENT)
    with pytest.raises(InvalidInput) as refused:
        lifecycle.fork(user, job, 2, Changes())
    assert str(refused.value) == (
        "budget: 'iterations=2' is not allowed; the fork begins with 2 iterations; give more: "
        f"`redraft fork {job} --from 2 --budget iterations=4`"
    )
    assert lifecycle.fork(user, job, 2, Changes(iterations=3)) == job + 1


def test_what_the_loop_loads_is_what_its_owner_reads(user: Database, fleet: Database, ledger: PostgresLedger) -> None:
    job = put(user)
    run(fleet, ledger, [(0.2, 0.5), (0.3,)])
    loaded = ledger.load(held(fleet))
    assert loaded == load_job(user, job)
    assert len(loaded.history) == 2
