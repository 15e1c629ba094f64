"""How a field is refused: its path, the value as it came, and what is allowed instead."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tasks.errors import InvalidInput
from tasks.jobfields import check_fields, check_name, read_batch_budget, refuse_unstorable
from tasks.types import BatchBudget

BUDGET = "usd, hours, iterations, tokens, completion_tokens, local_tokens, cloud_tokens, gpu_seconds, evaluations"


def refused(fields: dict[str, Any]) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        check_fields(fields)
    return caught.value


@pytest.mark.parametrize(
    ("name", "meant"), [("usdd", "did you mean 'usd'? "), ("hour", "did you mean 'hours'? "), ("zzz", "")]
)
def test_an_unknown_field_of_a_budget_is_told_from_those_of_a_budget(name: str, meant: str) -> None:
    error = refused({"budget": {name: 5}})
    assert (error.field, error.value) == (f"budget.{name}", 5)
    assert error.allowed == f"there is no such field; {meant}known are {BUDGET}"


def test_an_unknown_field_of_a_job_is_told_from_those_of_a_job() -> None:
    error = refused({"zzz": 1})
    assert (error.field, error.value) == ("zzz", 1)
    assert error.allowed.startswith("there is no such field; known are title, checks, budget, ")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("two\nlines", r"'two\nlines'"),
        ("semi;colon", "'semi;colon'"),
        ("plain name-1", "plain name-1"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "'" + "x" * 79),
    ],
)
def test_a_strange_or_long_name_is_quoted_and_cut(name: str, shown: str) -> None:
    assert refused({name: 1}).field == shown


def test_the_rule_of_a_list_holds_for_each_of_its_items() -> None:
    error = refused({"tags": ["fine", "a b"]})
    assert (error.field, error.value) == ("tags[1]", "a b")
    assert error.allowed.startswith("letters, digits and")


def test_a_name_that_is_unknown_is_told_with_the_nearest_where_there_is_one() -> None:
    known = ("best_of_n", "correct", "single")
    assert check_name("strategy", "single", known) == "single"
    for value, allowed in (
        ("corect", "one of best_of_n, correct, single, did you mean 'correct'?"),
        ("zzz", "one of best_of_n, correct, single"),
    ):
        with pytest.raises(InvalidInput) as caught:
            check_name("strategy", value, known)
        assert (caught.value.field, caught.value.value, caught.value.allowed) == ("strategy", value, allowed)


@pytest.mark.parametrize("code", [0, 0xD800, 0xDFFF])
def test_what_postgres_cannot_hold_is_refused_wherever_it_stands(code: int) -> None:
    text = f"a{chr(code)}"
    for fields, path in (
        ({"title": text}, "title"),
        ({"checks": [{"answer": text}]}, "checks[0].answer"),
        ({text: 1}, "fields"),
    ):
        with pytest.raises(InvalidInput, match="without NUL and lone surrogates") as caught:
            refuse_unstorable(fields)
        assert (caught.value.field, caught.value.value) == (path, text)


def test_letters_beside_the_surrogates_are_stored() -> None:
    refuse_unstorable({"title": "\ud7ff\ue000", "budget": {"usd": 1.5}, "memory": True, "key": None, "tags": ["a"]})


def test_the_budget_of_a_batch_has_the_units_and_bounds_of_a_job_s() -> None:
    assert read_batch_budget([]) is None
    budget = read_batch_budget(["tokens=1_000", "usd=0.10,hours=2"])
    assert budget == BatchBudget(tokens=1000, usd=Decimal("0.1"), hours=2.0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tokens", "--pool-budget: 'tokens' is not allowed; NAME=NUMBER"),
        ("tokens=0", "--pool-budget.tokens: 0 is not allowed; a whole number from 1"),
        ("tokens=1,tokens=2", "--pool-budget: 'tokens=2' is not allowed; tokens is given once"),
        ("iterations=3", "--pool-budget: 'iterations=3' is not allowed; fields among tokens, usd, hours"),
        ("token=3", "--pool-budget.token: "),
        ("hours=nan", "--pool-budget.hours: "),
    ],
)
def test_a_budget_of_a_batch_that_is_not_allowed_is_one_line(text: str, why: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_batch_budget([text])
    assert str(refused.value).startswith(why)
