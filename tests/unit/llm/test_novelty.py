"""Sentences that bring nothing new, and paragraphs that count; and what looks like them and tells something."""

from __future__ import annotations

import random

import pytest

from tasks.llm.counters import counting_tail
from tasks.llm.guard import Guard, scan
from tasks.llm.novelty import Novelty
from tasks.types import GuardHit, GuardKind
from tests.corpus import loose_loops, made_reasoning

BEFORE = "The harbour has eleven cranes, and each of them can lift one ship. We ask which crane is free first.\n\n"
INFORMING = [*made_reasoning.MAKERS]


def looping(form: str, seed: int, chars: int) -> str:
    copy, text, number = loose_loops.FORMS[form](random.Random(seed)), "", 0
    while len(text) < chars:
        text, number = text + copy(number), number + 1
    return BEFORE + text


def novelty(text: str) -> GuardHit | None:
    net = Novelty()
    return next((hit for at in range(0, len(text), 16) if (hit := net.feed(text[at : at + 16]))), None)


@pytest.mark.parametrize("form", sorted(loose_loops.FORMS))
@pytest.mark.parametrize("seed", range(5))
def test_loops_whose_copies_are_never_equal_are_found_within_a_thousand_tokens(form: str, seed: int) -> None:
    hit = scan(looping(form, seed, 4_500))
    assert hit is not None
    assert hit.at_char < 2_500


@pytest.mark.parametrize("kind", sorted(set(INFORMING) - {"edges"}))
@pytest.mark.parametrize("seed", range(5))
def test_texts_that_enumerate_are_no_loop(kind: str, seed: int) -> None:
    assert scan(made_reasoning.MAKERS[kind](random.Random(seed))) is None


@pytest.mark.parametrize("form", ["doubts", "reworded", "shuffled_many", "synonyms"])
def test_even_what_is_let_run_on_is_cut_where_nothing_new_comes_for_a_thousand_tokens(form: str) -> None:
    guard = Guard(runs_on=True)
    text = looping(form, 3, 12_000)
    assert guard.feed(text) is not None
    assert guard.read <= 8_000
    assert guard.let_through is not None
    assert guard.hit is not None
    assert guard.hit.at_char == guard.let_through.at_char


@pytest.mark.parametrize("kind", sorted(INFORMING))
def test_texts_that_enumerate_may_run_on_to_their_end(kind: str) -> None:
    for seed in range(5):
        guard = Guard(runs_on=True)
        assert guard.feed(made_reasoning.MAKERS[kind](random.Random(seed))) is None


def test_a_sentence_with_the_values_it_had_is_known_and_with_others_is_news() -> None:
    rng = random.Random(1)
    said = "Let us take {} litres for the tank. ", "No, that leaves {} litres over. ", "So {} is what we want here. "
    same = "".join(rng.choice(said).format(14) for _ in range(60))
    other = "".join(rng.choice(said).format(rng.randint(1, 999)) for _ in range(60))
    assert novelty(same) is not None
    assert novelty(other) is None


def test_code_and_short_sentences_are_passed_over() -> None:
    assert novelty("open_gate(north);\nclose_gate(north);\n" * 60) is None
    assert novelty("Go on. Stop. " * 200) is None


@pytest.mark.parametrize("step", [1, 2, 10])
def test_a_paragraph_that_counts_is_a_loop_from_where_it_begins(step: int) -> None:
    text = BEFORE + "".join(f"gate {n} of the yard leads to gate {n + 1}, " for n in range(95, 95 + 30 * step, step))
    hit = counting_tail(text)
    assert hit is not None
    assert hit.kind is GuardKind.TEMPLATE
    assert abs(hit.at_char - len(BEFORE)) <= len("gate 95 of the yard leads to gate 96, ")


@pytest.mark.parametrize("numbers", [[n * n for n in range(30)], list(range(30, 0, -1))])
def test_a_paragraph_whose_numbers_do_not_just_grow_is_none(numbers: list[int]) -> None:
    assert counting_tail(BEFORE + "".join(f"gate {n} of the yard is open, " for n in numbers)) is None


def test_a_paragraph_of_any_numbers_is_a_loop_after_as_many_copies_as_lines_may_have() -> None:
    rng = random.Random(2)
    copies = ["gate {} of the yard is open for {} hours, ".format(*rng.choices(range(1, 999), k=2)) for _ in range(60)]
    assert counting_tail(BEFORE + "".join(copies[:31])) is None
    hit = counting_tail(BEFORE + "".join(copies))
    assert hit is not None
    assert abs(hit.at_char - len(BEFORE)) <= len(copies[0])


def test_a_long_count_that_falls_is_none() -> None:
    assert counting_tail(BEFORE + "".join(f"gate {n} of the yard is open, " for n in range(90, 30, -1))) is None
