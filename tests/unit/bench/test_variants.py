"""Strategies with other numbers: by their text, and what is refused."""

from __future__ import annotations

import pytest

from tasks.errors import InvalidInput
from tasks.policy import Ladder
from tests.unit.test_ladder import LIMITS, Outcome, kinds, play
from workers.bench.variants import load_variant


def test_a_variant_decides_by_its_own_numbers_under_its_own_name() -> None:
    one = load_variant("ladder:agree=1,lead=1")
    assert one.name == "ladder:agree=1,lead=1"
    assert kinds(play([Outcome(True)], LIMITS, one)[1]) == ["draft", "stop"]
    assert kinds(play([Outcome(True)], LIMITS, load_variant("ladder"))[1]) == ["draft", "draft", "stop"]
    assert load_variant("ladder") == Ladder()


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("ladders", "one of aggregate, best_of_n"),
        ("single:agree=2", "single alone: it has no numbers"),
        ("ladder:", None),
        ("ladder:agrees=2", "NAME:FIELD=NUMBER,… with one of agree, first, lead, most"),
        ("ladder:agree=-1", "NAME:FIELD=NUMBER"),
        ("ladder:agree", "NAME:FIELD=NUMBER"),
        ("ladder:agree=2,", "NAME:FIELD=NUMBER"),
    ],
)
def test_what_is_no_variant_is_bad_input(text: str, allowed: str | None) -> None:
    if allowed is None:
        assert load_variant(text) == Ladder()
        return
    with pytest.raises(InvalidInput, match=allowed):
        load_variant(text)
