"""The worked example of the page on strategies does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tasks.ports import Strategy
from tasks.types import Draft, Revise, Stop, StopCode
from tests.unit.test_ladder import LIMITS, Outcome, play

PAGE = Path(__file__).parents[2] / "ops" / "docs" / "strategies.md"


def example() -> Any:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(source, names)
    return names["Polish"]()


def test_it_is_a_strategy_that_drafts_wide_and_repairs_the_best_while_that_helps() -> None:
    assert isinstance(example(), Strategy)
    scores = (0.1, 0.5, 0.2, 0.3, 0.7, 0.6)
    _, decisions = play([Outcome(False, words=n, score=s) for n, s in enumerate(scores)], LIMITS, example())
    assert [type(decision) for decision in decisions] == [Draft, Revise, Revise, Stop]
    assert decisions[0] == Draft(slots=4)
    assert decisions[-1] == Stop(code=StopCode.GAVE_UP, detail="no repair of 2.0 was better")


def test_it_ends_at_a_candidate_that_passes() -> None:
    _, decisions = play(
        [Outcome(False), Outcome(False, words=1), Outcome(True, words=2), Outcome(False)], LIMITS, example()
    )
    assert len(decisions) == 2
    assert isinstance(decisions[-1], Stop)
    assert (decisions[-1].code, decisions[-1].detail) == (StopCode.ACCEPTED, "1.2")
