"""Every named crash point, at each of its passings, and seeded pairs of them: the final state is always the one of a
run without faults. A real Postgres, a scripted model, the stand-in of the cloud, the memory's twin."""

from __future__ import annotations

import dataclasses
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from tasks.crashpoints import CrashPoint, arm_process
from tasks.errors import InvalidInput
from tasks.store.invariants import breaches
from tasks.store.ledger import PostgresLedger
from tasks.store.session import Database
from tasks.types import BatchBudget, CallKey, Claim, Operator
from tests.chaos.crashes import Fatal, Passing, Toll, difference
from tests.chaos.house import (
    ASKING,
    BEGUN,
    CLIMB,
    DOUBLE,
    EVOLVE,
    HEEDING,
    MERGE,
    REOPENED,
    STUCK,
    UNANSWERED,
    House,
    Upgrade,
)
from tests.standin.responses import Rule, serving
from workers.local.postgres import EmbeddedPostgres

pytestmark = pytest.mark.integration
# `make chaos` asks for this many crashes: each passing alone, and then pairs. The short selection is one passing of
# each point, and a few pairs.
CRASHES = int(os.environ.get("CHAOS_CRASHES", "0"))
PAIRS = 4
SEED = int(os.environ.get("CHAOS_SEED", "4"))
# A crash between the intent and the cloud's id: the request may have been received, so it is given up, never repeated.
GIVEN_UP = {CrashPoint.INTENDED, CrashPoint.POSTED}
RIGHT = Rule(answer="Thought about it.\nANSWER: 42")
ADVICE = "Write the advice now"
ADVISED = Rule(contains=ADVICE, answer="Add six to itself.")
UNADVISED = Rule(contains=ADVICE, fault="drop_before_created")
LOST = Rule(fault="drop_before_created")
# What the provider did not accept is sent again: first, or the second time too, nobody knows what became of it.
BUSY = dataclasses.replace(RIGHT, fault="rate_limit", times=1)
BUSY_THEN_LOST = dataclasses.replace(BUSY, then="drop_before_created")


@pytest.fixture
def fleet(login: Callable[..., str]) -> Iterator[Database]:
    with Database(login("fleet", "redraft_worker")) as database:
        with database.begin() as connection:
            connection.execute(
                text("""INSERT INTO workers (name, host, pid, lanes, slots, version, seen_at)
                        VALUES ('w', 'h', 1, '{gpu,check,cloud}', 4, '0', now() + interval '1 day')""")
            )
        yield database


@pytest.mark.slow  # tests of the loop, of moves, escalations and evolve cut their jobs at any write
def test_a_crash_at_any_point_or_at_any_two_changes_nothing(
    user: Database, fleet: Database, postgres: EmbeddedPostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    toll, chance = Toll(), random.Random(SEED)
    with (
        serving([ADVISED, RIGHT]) as standin,
        serving([UNADVISED, RIGHT]) as unadvised,
        serving([LOST]) as losing,
        serving([BUSY]) as busy,
        serving([BUSY_THEN_LOST]) as losing_later,
    ):

        def asking(url: str, hints: int) -> House:
            return House(user, fleet, escalate_after=2, url=url, known=1, work=STUCK, hints=hints)

        home = House(user, fleet, escalate_after=10, url=standin.url, known=None)
        first = home.run(Fatal())
        runs: dict[str, House | Upgrade] = {
            "home": home,
            "cloud": asking(standin.url, hints=0),
            "hint": asking(standin.url, hints=1),
            "busy": asking(busy.url, hints=0),
            "batch": House(
                user, fleet, escalate_after=10, url=standin.url, known=None, pool=BatchBudget(tokens=100_000)
            ),
            "changed model": House(user, fleet, escalate_after=10, url=standin.url, known=1, changed=True),
            "ladder": House(user, fleet, escalate_after=10, url=standin.url, known=None, work=DOUBLE),
            "climb": House(user, fleet, escalate_after=10, url=standin.url, known=None, work=CLIMB),
            "evolve": House(user, fleet, escalate_after=10, url=standin.url, known=None, work=EVOLVE),
            "merge": House(user, fleet, escalate_after=10, url=standin.url, known=None, work=MERGE),
            "heeding": House(user, fleet, escalate_after=10, url=standin.url, known=None, work=HEEDING),
            "reopened": House(user, fleet, escalate_after=10, url=standin.url, known=None, work=REOPENED),
            "asking": House(user, fleet, escalate_after=10, url=standin.url, known=None, work=ASKING),
            "unanswered": House(user, fleet, escalate_after=10, url=standin.url, known=None, work=UNANSWERED),
            "begun": House(user, fleet, escalate_after=10, url=standin.url, known=None, work=BEGUN),
            "upgrade": Upgrade(postgres),
        }
        ordinary = {name: Fatal() for name in runs}
        expected: dict[str, dict[str, Any]] = {name: run.run(ordinary[name]) for name, run in runs.items()}
        # What a run may come to whose first requests were lost, by their number.
        lost_answer = asking(losing.url, hints=0).run(Fatal())
        given_up = {
            "cloud": [[lost_answer]],
            "hint": [[asking(unadvised.url, hints=1).run(Fatal())], [asking(losing.url, hints=1).run(Fatal())]],
            "busy": [[lost_answer, asking(losing_later.url, hints=0).run(Fatal())]],
        }
        assert difference(expected["home"], first) == ""
        assert all('"state": "accepted"' in expected[name]["jobs"][0] for name in runs if name != "upgrade")
        made = {
            operator
            for name in runs
            for operator in Operator
            if f'"{operator}"' in str(expected[name].get("iterations"))
        }
        # test_check_edits.py cuts the last at any write.
        elsewhere = {Operator.REVIEW, Operator.JUDGE, Operator.DISTIL, Operator.RECHECK}
        assert made >= set(Operator) - elsewhere, "every move is cut somewhere"
        for name, outcomes in given_up.items():
            assert all("escalations" in difference(expected[name], one) for options in outcomes for one in options)

        def strike(name: str, *at: Passing) -> None:
            fatal, posts, accepted = Fatal(*at), standin.posts, busy.accepted
            got = runs[name].run(fatal)
            assert fatal.deaths.total() > 0, (name, at)
            lost = sum(fatal.deaths[point] for point in GIVEN_UP)
            assert standin.posts - posts <= 1 + (lost if name == "hint" else 0), (name, at)
            assert busy.accepted - accepted <= 1, (name, at)
            may = given_up[name][lost - 1] if lost else [expected[name]]
            toll.count(name, fatal, min((difference(one, got) for one in may), key=len))

        alone = [(name, one) for name, counted in ordinary.items() for one in counted.passings()]
        chosen = alone if CRASHES else [chance.choice([one for one in alone if one[1][0] is p]) for p in CrashPoint]
        for name, one in chosen:
            strike(name, one)
        assert set(toll.deaths) == set(CrashPoint), "every point is passed, and was fatal"
        while toll.deaths.total() < (CRASHES or len(CrashPoint) + PAIRS):
            names = [
                "home",
                "batch",
                "cloud",
                "hint",
                "busy",
                "changed model",
                "ladder",
                "climb",
                "evolve",
                "merge",
                "heeding",
                "reopened",
                "asking",
                "unanswered",
                "begun",
                "upgrade",
            ]
            name = chance.choice(names)
            strike(name, *chance.sample(ordinary[name].passings(), 2))
    if CRASHES:
        with capsys.disabled():
            print(f"\nseed {SEED}\n" + toll.table(Counter(point for _, (point, _) in alone)))
    assert toll.diverged == []
    assert toll.deaths.total() >= CRASHES
    assert breaches(fleet, drained=True) == ()


class Forgetful:
    """A ledger that keeps each call and never finds it again: a bug as the suite must find them."""

    def __init__(self, ledger: PostgresLedger, database: Database) -> None:
        self._ledger, self._database = ledger, database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def find_call(self, claim: Claim, key: CallKey, prompt_hash: str) -> None:
        with self._database.begin() as connection:
            connection.execute(
                text("DELETE FROM calls WHERE job_id = :j AND iteration = :i AND operator = :o AND slot = :s"),
                {"j": claim.job, "i": key.iteration, "o": key.operator, "s": key.slot},
            )


def test_a_ledger_that_forgets_its_calls_is_found_out(user: Database, fleet: Database) -> None:
    house = House(user, fleet, escalate_after=10, url="", known=None, broken=lambda ledger: Forgetful(ledger, fleet))
    expected = house.run(Fatal())
    assert difference(expected, house.run(Fatal((CrashPoint.CLAIMED, 1)))) == ""
    assert "local_tokens" in difference(expected, house.run(Fatal((CrashPoint.CALL_COMMITTED, 2))))
    assert {breach.invariant for breach in breaches(fleet)} == {"I5 spend is the sum of the calls"}


def test_a_point_that_is_not_known_is_refused() -> None:
    with pytest.raises(InvalidInput, match="call made"):
        arm_process("nowhere:2")
