"""Faults on the real services: nothing is lost, nothing is there twice, nothing comes out otherwise; and where a part
is taken away that this rests on, the judge says so. `make chaos` plays all of it, `make test` a short selection."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator

import pytest

from tests.chaos import report
from tests.chaos.faults import FAULTS
from tests.chaos.fleet import Services, services
from tests.chaos.redraft import Redraft
from tests.chaos.rounds import Arena
from tests.chaos.sabotage import SCENARIOS, Scenario
from tests.chaos.workload import RIDDLES

pytestmark = pytest.mark.integration
LONG = bool(os.environ.get("CHAOS_LONG"))
SEED = 4
SELECTION = ("worker killed", "acknowledgement of a commit lost")
# Those that are quick to show.
SHORT_SCENARIOS = ("fence",)
_number = itertools.count(1)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with services(tmp_path_factory.mktemp("chaos")) as made:
        yield made


@pytest.fixture
def redraft(there: Services) -> Callable[..., Redraft]:
    """A contestant with a database of its own."""

    def make(*, teaching: bool = False, workers: int = 2) -> Redraft:
        return Redraft(there, database=f"chaos{next(_number)}", teaching=teaching, workers=workers)

    return make


@pytest.mark.skipif(LONG, reason="`make chaos` plays every fault by itself")
def test_a_selection_of_faults_costs_nothing(redraft: Callable[..., Redraft]) -> None:
    of = redraft(workers=1)
    said: list[str] = []
    riddles = [riddle for riddle in RIDDLES if not riddle.memory][:2]
    try:
        of.start()
        arena = Arena(of, random.Random(SEED), said.append, riddles=riddles, jobs=2)
        assert arena.reference(riddles) == ()
        of.learn()
        rounds = [arena.play(FAULTS[name]) for name in SELECTION]
    finally:
        of.stop()
    assert report.charges(arena.settled()) == "", "\n".join(said)
    assert all(one.acts for one in rounds)


@pytest.mark.parametrize(
    "scenario", [s for s in SCENARIOS if LONG or s.part in SHORT_SCENARIOS], ids=lambda scenario: scenario.part
)
def test_without_a_part_that_durability_rests_on_the_judge_finds_it(
    redraft: Callable[..., Redraft], scenario: Scenario
) -> None:
    found = scenario.charges(redraft(teaching=scenario.teaching), crippled=True)
    assert found, f"nobody misses the {scenario.part}"
    print(scenario.part, *found, sep="\n  ")


@pytest.mark.skipif(not LONG, reason="`make chaos` plays it; here the selection of faults stands for it")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.part)
def test_with_the_part_the_same_fault_costs_nothing(redraft: Callable[..., Redraft], scenario: Scenario) -> None:
    assert scenario.charges(redraft(teaching=scenario.teaching), crippled=False) == ()


def test_every_fault_says_what_it_does() -> None:
    assert len(FAULTS) >= 30
    assert all(fault.made.__doc__ for fault in FAULTS.values())
