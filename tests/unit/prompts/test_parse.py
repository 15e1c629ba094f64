"""Reviews are read for the problems that quote the candidate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.prompts import layout, parse
from tests.unit.prompts.cases import (
    CODE,
)


@pytest.mark.parametrize(
    ("review", "found"),
    [
        ("- `return a - b` subtracts", ("`return a - b` subtracts",)),
        ('1. The line "return a - b" subtracts\n   instead of adding.', 2),
        ("- `return a * b` multiplies", ()),
        ("- It is wrong somewhere", ()),
        ("NO PROBLEMS", ()),
        ("", ()),
        ("`return a - b` subtracts", ("`return a - b` subtracts",)),
        ("- wrong:\n```python\n    return a - b\n```", 1),
        ("- `a`", ()),
        ("- wrong:\n```\n```\n  and `return a - b` subtracts", 1),
    ],
)
def test_only_problems_that_quote_the_candidate_count(review: str, found: tuple[str, ...] | int) -> None:
    bugs = parse.bugs(review, CODE.text)
    assert bugs == found if isinstance(found, tuple) else len(bugs) == 1


def test_at_most_five_different_problems_are_kept() -> None:
    review = "\n".join(f"- `return a - b` is wrong for reason {n // 2}" for n in range(20))
    assert len(parse.bugs(review, CODE.text)) == layout.BUGS
    assert len(set(parse.bugs(review, CODE.text))) == layout.BUGS


# A review's marks in any order: text of all characters hardly ever has a fence in it.
MARKS = st.lists(
    st.sampled_from(["```", "``", "`", '"', "“", "”", "\n", "- ", "1. ", " ", "return a - b"]), max_size=30
)


@given(review=st.text(max_size=300) | MARKS.map("".join), candidate=st.text(max_size=300))
def test_any_review_can_be_read(review: str, candidate: str) -> None:
    assert len(parse.bugs(review, candidate)) <= layout.BUGS


PROBLEM = "Give a list that is empty and has\nthree elements."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("IMPOSSIBLE: `empty and has three elements` can't hold", "`empty and has three elements` can't hold"),
        ('**IMPOSSIBLE**: it says "is empty and has"', 'it says "is empty and has"'),
        ("IMPOSSIBLE: it can't be done", ""),
        ("IMPOSSIBLE: `empty`", ""),
        ("IMPOSSIBLE: `has four elements and` no more", ""),
        ("It may be impossible: `empty and has three elements`", ""),
        ("IMPOSSIBLE: `empty and has three elements`\n```python\npass\n```", ""),
        ("", ""),
    ],
)
def test_an_objection_counts_where_it_quotes_the_problem(text: str, found: str) -> None:
    assert parse.objection(text, PROBLEM) == found
