"""Variants of an answer: what is changed or left out, in which order, and what is never proposed."""

from __future__ import annotations

import ast
import json
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.edits import variants_of
from tasks.edits.whole import LONGEST


def numbers(text: str) -> list[str]:
    """What a second line `text` becomes, where it stays."""
    lines = [varied.partition("\n") for varied in variants_of(f"so many\n{text}")]
    return [second for first, _, second in lines if first == "so many" and second]


@pytest.mark.parametrize(
    ("number", "near"),
    [
        ("8", ["9", "7", "16", "4"]),
        ("1", ["2", "0"]),
        ("0", ["1"]),
        ("0.5", ["0.55", "0.45", "0.515", "0.485", "0.505", "0.495"]),
        ("2e3", ["2200", "1800", "2060", "1940", "2020", "1980"]),
    ],
)
def test_a_number_gives_way_to_others_near_it(number: str, near: list[str]) -> None:
    assert numbers(number) == near


@pytest.mark.parametrize("text", ["v2 a.b3", "9" * 40, "a1b c_4d", "3.1.4"])
def test_digits_of_a_name_and_of_a_very_long_number_are_left_alone(text: str) -> None:
    assert numbers(text) == []


def test_a_program_loses_a_line_or_a_group_and_stays_a_program() -> None:
    program = "def points():\n    # three of them\n    found = [(a, b), (c, d)]\n    return found"
    variants = list(variants_of(program))
    assert "def points():\n    # three of them\n    found = [(a, b), (c, d)]\n" in variants
    assert "def points():\n    # three of them\n    found = [(c, d)]\n    return found" in variants
    assert all(ast.parse(varied) for varied in variants)
    assert not any("three of them" not in varied for varied in variants), "without a comment it is the same program"


def test_a_list_in_json_loses_an_element_and_stays_json() -> None:
    variants = list(variants_of("[\n [3, 4], [5, 6],\n [7, 8]\n]"))
    assert "[\n [3, 4], [5, 6],\n]" not in variants, "it would be a list in Python"
    assert [[3, 4], [7, 8]] in [json.loads(varied) for varied in variants]
    assert all(json.loads(varied) for varied in variants)


def test_a_text_of_one_line_loses_a_few_characters_anywhere() -> None:
    variants = set(variants_of("(lion|puma)$"))
    assert {"(lion|puma)", "(lion|pum)$", "(on|puma)$", "lion|puma)$"} <= variants
    assert all(len(varied) in (11, 10, 8, 4) for varied in variants)


def test_the_order_begins_where_the_answer_differs_from_its_parent() -> None:
    parent, answer = "a+ b+ c+ d+", "a+ b+ c d+"
    first = next(islice(variants_of(answer, parent), 1))
    assert first.startswith("a+ b+ c")
    assert set(variants_of(answer, parent)) == set(variants_of(answer))


def test_what_was_had_does_not_come_again() -> None:
    first, *others = variants_of("(lion|puma)$")
    assert list(variants_of("(lion|puma)$", had={first})) == others


def test_an_answer_keeps_its_code_block_and_loses_the_prose_around_it() -> None:
    answer = "Here it is.\n```python\nsize = 4\n```\nIt is small."
    assert next(variants_of(answer)) == "```python\nsize = 5\n```\n"


def test_a_text_that_is_very_long_has_none() -> None:
    assert next(variants_of("x" * LONGEST)) == "x" * (LONGEST - 8)
    assert list(variants_of("x" * (LONGEST + 1))) == []


@given(st.text(alphabet="ab1.( )[]\n,|$é²", max_size=60), st.text(alphabet="ab1.(\n", max_size=20))
def test_no_variant_is_the_answer_or_comes_twice(text: str, parent: str) -> None:
    variants = list(islice(variants_of(text, parent), 400))
    assert len(set(variants)) == len(variants)
    assert text not in variants
