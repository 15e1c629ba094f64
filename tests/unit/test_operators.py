"""Several slots at once, of which a limit pays for some: what is there is worth checking."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.errors import DailyLimitReached, DailyReserved, LimitReached
from tasks.escalation import NoCloud
from tasks.journal import JournalledModel
from tasks.llm.scripted import ScriptedModel
from tasks.operators import Operators
from tasks.sampling import Sampling
from tasks.types import CallKey, Claim, Draft, Grant, OpenIteration
from tests.doubles import Journal
from tests.turns import job_of, turn_of

SPENT = DailyLimitReached("the deployment has used all", 60.0)


class Pays(Journal):
    """A ledger that pays for the first slots, and raises its error for the others."""

    def __init__(self, slots: int, error: Exception) -> None:
        super().__init__()
        self.slots, self.error = slots, error

    def reserve(self, claim: Claim, key: CallKey, tokens: int, completion_tokens: int = 0) -> Grant:
        if key.slot >= self.slots:
            raise self.error
        return Grant(completion_tokens=completion_tokens)


def drafts(slots: int, error: Exception) -> int:
    """How many of three drafts come to be."""
    ledger: Any = Pays(slots, error)
    model = JournalledModel(ledger=ledger, model=ScriptedModel(lambda _: "ANSWER: 4"), sampling=Sampling())
    iteration = OpenIteration(number=1, move=Draft(slots=3))
    return len(Operators(model=model, cloud=NoCloud()).attempt(turn_of(job_of()), iteration))


@pytest.mark.parametrize("error", [LimitReached("tokens", 9, 10, needed=5), SPENT])
def test_the_slots_that_were_paid_for_are_the_iteration(error: Exception) -> None:
    assert drafts(2, error) == 2
    with pytest.raises(type(error)):
        drafts(0, error)


def test_slots_that_calls_in_flight_stand_in_the_way_of_come_later() -> None:
    with pytest.raises(DailyReserved):
        drafts(2, DailyReserved("calls in flight hold the rest"))
