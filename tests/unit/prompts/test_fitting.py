"""Prompts as short as a model's context demands, and no shorter."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tasks.errors import ProblemTooLong, PromptTooLong
from tasks.prompts.fitting import STEPS, fit
from tasks.prompts.layout import WHOLE
from tasks.types import Cut, Message, Prompt


class Source:
    """Has `problem`, `prefix` and `rest` tokens, one a character, and two of prefix and rest that can't be cut."""

    def __init__(self, prefix: int, rest: int, problem: int = 0) -> None:
        self.prefix, self.rest, self.problem, self.counted = prefix, rest, problem, 0

    def build(self, cut: Cut) -> Prompt:
        shown = self.problem if cut.problem is None else min(self.problem, cut.problem)
        return Prompt(
            system="",
            prefix="q" * shown + "pp" + "p" * (self.prefix >> cut.prefix),
            rest="rr" + "r" * (self.rest >> cut.rest),
            problem_chars=self.problem,
        )

    def count(self, messages: Sequence[Message]) -> int:
        self.counted += 1
        return sum(len(message.content) for message in messages)

    def fitted(self, room: int, prefix_room: int, least: Cut = WHOLE, *, cut_problem: bool = False) -> str:
        prompt, tokens = fit(
            self.build, self.count, room=room, prefix_room=prefix_room, least=least, cut_problem=cut_problem
        )
        assert tokens == len(prompt.prefix) + len(prompt.rest) <= room
        return prompt.prefix + prompt.rest


def test_a_prompt_that_fits_is_left_whole_and_its_two_parts_are_counted_once() -> None:
    prompt = Source(30, 20, problem=10)
    assert prompt.fitted(100, 60) == "q" * 10 + "p" * 32 + "r" * 22
    assert prompt.counted == 2


def test_a_long_rest_is_cut_and_the_prefix_is_left() -> None:
    assert Source(30, 400).fitted(100, 60) == "p" * 32 + "r" * 52


def test_a_long_prefix_is_cut_alike_whatever_follows() -> None:
    prefixes = {Source(100, rest, problem=5).fitted(100, 60).count("p") for rest in (0, 10, 100, 1000)}
    assert prefixes == {52}


def test_what_belongs_to_the_problem_is_cut_before_the_problem_is() -> None:
    assert Source(100, 10, problem=50).fitted(100, 60, cut_problem=True) == "q" * 50 + "p" * 8 + "r" * 12


def test_what_must_be_halved_anyway_is() -> None:
    assert Source(30, 20).fitted(100, 60, Cut(prefix=1, rest=1)) == "p" * 17 + "r" * 12


def test_a_problem_that_does_not_fit_is_refused_with_both_numbers_at_the_second_count() -> None:
    prompt = Source(8, 0, problem=500)
    with pytest.raises(ProblemTooLong, match="the problem has 502 tokens, and the model has room for 60 of them"):
        prompt.fitted(100, 60)
    assert prompt.counted == 2


@pytest.mark.parametrize("problem", [61, 500, 1_000_000])
def test_a_problem_that_may_be_cut_fills_the_room_that_its_checks_leave(problem: int) -> None:
    prompt = Source(8, 0, problem=problem)
    assert prompt.fitted(100, 60, cut_problem=True) == "q" * 50 + "p" * 10 + "r" * 2
    assert prompt.counted < 10


def test_checks_have_half_the_room_at_most_where_the_problem_is_cut() -> None:
    assert Source(1_000, 0, problem=500).fitted(100, 60, cut_problem=True) == "q" * 43 + "p" * 17 + "r" * 2


class Uneven(Source):
    """Its problem has more tokens in the middle, which is what is left out last: a first guess is too long."""

    def count(self, messages: Sequence[Message]) -> int:
        text = messages[-1].content
        return super().count(messages) + min(text.count("q"), 100)


def test_a_problem_of_uneven_density_is_cut_until_it_fits() -> None:
    prompt = Uneven(8, 0, problem=10_000)
    messages, tokens = fit(prompt.build, prompt.count, room=100, prefix_room=60, least=WHOLE, cut_problem=True)
    assert tokens - 2 == prompt.count(messages.head) <= 60
    assert messages.prefix.count("q") > 20


def test_a_prompt_that_nothing_makes_short_enough_is_refused_with_both_numbers() -> None:
    with pytest.raises(PromptTooLong, match="the shortest prompt has 4 tokens, and the model has room for 3"):
        Source(0, 100).fitted(3, 2)
    with pytest.raises(PromptTooLong, match="the shortest prompt has 2 tokens, and the model has room for 1"):
        Source(0, 0, problem=90).fitted(3, 1, cut_problem=True)


def test_a_prompt_may_fill_its_room_and_its_prefix_its_own() -> None:
    exact = Source(28, 26)  # 30 and 28 with what can't be cut
    assert exact.fitted(58, 30) == "p" * 30 + "r" * 28
    assert Source(28, 400).fitted(58, 30) == "p" * 30 + "r" * 27
    assert Source(28, 13 * 2).fitted(45, 30) == "p" * 30 + "r" * 15


def test_what_was_halved_stays_halved_where_more_must_be_cut() -> None:
    assert Source(30, 400).fitted(100, 60, Cut(prefix=1, rest=1)) == "p" * 17 + "r" * 52
    assert Source(400, 40).fitted(100, 60, Cut(prefix=1, rest=2)) == "p" * 52 + "r" * 12


def test_no_more_is_tried_than_there_are_steps() -> None:
    prompt = Source(1, 1 << STEPS)
    assert prompt.fitted(6, 10) == "ppp" + "rrr"
    with pytest.raises(PromptTooLong, match="the shortest prompt has 6 tokens, and the model has room for 5"):
        Source(1, 1 << STEPS).fitted(5, 10)


def test_what_follows_a_cut_prefix_is_left_whole_where_it_fits() -> None:
    assert Source(400, 40).fitted(100, 60) == "p" * 52 + "r" * 42
