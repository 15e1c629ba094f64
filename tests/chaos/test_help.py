"""A person's hints and answers, and crashes at any point while they are on their way: each is used once, and a job that
waits for an answer takes nothing of an engine. A real Postgres, a scripted model."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from tasks.crashpoints import CrashPoint
from tasks.store.invariants import breaches
from tasks.store.session import Database
from tests.chaos.crashes import Fatal, Toll, difference
from tests.chaos.house import ASKING, HEEDING, REOPENED, UNANSWERED, House

pytestmark = pytest.mark.integration
CRASHES = int(os.environ.get("CHAOS_CRASHES", "1000"))
SEED = int(os.environ.get("CHAOS_SEED", "7"))
# Beside those that every job passes.
POINTS = {
    CrashPoint.TAKING_HINTS,
    CrashPoint.HINTS_TAKEN,
    CrashPoint.QUESTION_WRITTEN,
    CrashPoint.ASKING,
    CrashPoint.ASKED,
}


@pytest.fixture
def fleet(fleet_url: str) -> Iterator[Database]:
    with Database(fleet_url) as database:
        yield database


@pytest.fixture
def houses(user: Database, fleet: Database) -> dict[str, House]:
    works = {"heeding": HEEDING, "reopened": REOPENED, "asking": ASKING, "unanswered": UNANSWERED}
    return {name: House(user, fleet, escalate_after=10, url="", known=None, work=work) for name, work in works.items()}


def ordinary(houses: dict[str, House]) -> tuple[dict[str, Fatal], dict[str, dict[str, Any]]]:
    counted = {name: Fatal() for name in houses}
    return counted, {name: house.run(counted[name]) for name, house in houses.items()}


def used_once(fleet: Database) -> None:
    """Each hint and each answer was seen, by one iteration; each question has ended; the promises hold."""
    with fleet.connect() as connection:
        unused = "SELECT count(*) FROM hints WHERE iteration IS NULL"
        twice = "SELECT count(*) FROM (SELECT FROM hints GROUP BY job_id, text HAVING count(*) > 1) AS again"
        waiting = "SELECT count(*) FROM questions WHERE closed_at IS NULL"
        assert [connection.execute(text(query)).scalar_one() for query in (unused, twice, waiting)] == [0, 0, 0]
    assert breaches(fleet, drained=True) == ()


@pytest.mark.slow  # test_crashpoints.py crashes at each of the points
def test_each_point_of_help_is_passed_and_a_crash_there_changes_nothing(
    houses: dict[str, House], fleet: Database
) -> None:
    counted, expected = ordinary(houses)
    assert all('"state": "accepted"' in outcome["jobs"][0] for outcome in expected.values())
    toll = Toll()
    for name, house in houses.items():
        for passing in counted[name].passings():
            if passing[0] in POINTS:
                fatal = Fatal(passing)
                toll.count(name, fatal, difference(expected[name], house.run(fatal)))
    assert set(toll.deaths) == POINTS
    assert toll.diverged == []
    used_once(fleet)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_crashes_with_questions_and_answers_on_their_way(
    houses: dict[str, House], fleet: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    counted, expected = ordinary(houses)
    toll, chance = Toll(), random.Random(SEED)
    while toll.deaths.total() < CRASHES:
        name = chance.choice(list(houses))
        fatal = Fatal(*chance.sample(counted[name].passings(), chance.randint(1, 6)))
        toll.count(name, fatal, difference(expected[name], houses[name].run(fatal)))
    passings = [point for fatal in counted.values() for point, _ in fatal.passings()]
    with capsys.disabled():
        print(f"\nseed {SEED}\n" + toll.table(Counter(passings)))
    assert toll.diverged == []
    used_once(fleet)
