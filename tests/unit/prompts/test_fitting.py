"""Prompts as short as a model's context demands."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tasks.errors import PromptTooLong
from tasks.prompts.fitting import STEPS, fit
from tasks.prompts.layout import WHOLE
from tasks.types import Cut, Message


class Prompt:
    """Has `prefix` and `rest` tokens, one a character, and two that can't be cut from each."""

    def __init__(self, prefix: int, rest: int) -> None:
        self.prefix, self.rest, self.counted = prefix, rest, 0

    def build(self, cut: Cut) -> Sequence[Message]:
        prefix = "pp" + "p" * (self.prefix >> cut.prefix)
        rest = "" if cut.rest is None else "rr" + "r" * (self.rest >> cut.rest)
        return (Message(role="user", content=prefix + rest),)

    def count(self, messages: Sequence[Message]) -> int:
        self.counted += 1
        return len(messages[0].content)

    def fitted(self, room: int, prefix_room: int, least: Cut = WHOLE) -> str:
        messages, tokens = fit(self.build, self.count, room=room, prefix_room=prefix_room, least=least)
        assert tokens == len(messages[0].content) <= room
        return messages[0].content


def test_a_prompt_that_fits_is_left_whole_and_counted_once() -> None:
    prompt = Prompt(30, 20)
    assert prompt.fitted(100, 60) == "p" * 32 + "r" * 22
    assert prompt.counted == 1


def test_a_long_rest_is_cut_and_the_prefix_is_left() -> None:
    assert Prompt(30, 400).fitted(100, 60) == "p" * 32 + "r" * 52


def test_a_long_prefix_is_cut_alike_whatever_follows() -> None:
    prefixes = {Prompt(100, rest).fitted(100, 60).count("p") for rest in (0, 10, 100, 1000)}
    assert prefixes == {52}


def test_what_must_be_halved_anyway_is() -> None:
    assert Prompt(30, 20).fitted(100, 60, Cut(prefix=1, rest=1)) == "p" * 17 + "r" * 12


def test_a_prompt_that_nothing_makes_short_enough_is_refused_with_both_numbers() -> None:
    with pytest.raises(PromptTooLong, match="the shortest prompt has 4 tokens, and the model has room for 3"):
        Prompt(100, 100).fitted(3, 1)


def test_a_prompt_may_fill_its_room_and_its_prefix_its_own() -> None:
    exact = Prompt(28, 26)  # 30 and 28 with what can't be cut
    assert exact.fitted(58, 58) == "p" * 30 + "r" * 28
    assert exact.counted == 1
    assert Prompt(28, 400).fitted(58, 30) == "p" * 30 + "r" * 27
    assert Prompt(28, 13 * 2).fitted(45, 30) == "p" * 30 + "r" * 15


def test_what_was_halved_stays_halved_where_more_must_be_cut() -> None:
    assert Prompt(30, 400).fitted(100, 60, Cut(prefix=1, rest=1)) == "p" * 17 + "r" * 52
    assert Prompt(400, 40).fitted(100, 60, Cut(prefix=1, rest=2)) == "p" * 52 + "r" * 12


def test_no_more_is_tried_than_there_are_steps() -> None:
    prompt = Prompt(1, 1 << STEPS)
    assert prompt.fitted(6, 10) == "ppp" + "rrr"
    with pytest.raises(PromptTooLong, match="the shortest prompt has 6 tokens, and the model has room for 5"):
        Prompt(1, 1 << STEPS).fitted(5, 10)


def test_what_follows_a_cut_prefix_is_left_whole_where_it_fits() -> None:
    assert Prompt(400, 40).fitted(100, 60) == "p" * 52 + "r" * 42
