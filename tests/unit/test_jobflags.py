"""The command line's flags: what each adds to a raw job, and how one that can't be read is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.errors import InvalidInput
from tasks.jobfile import RawJob
from tasks.jobflags import Flags, parse_budget_flag, parse_check_flag, with_flags
from tasks.jobfolder import Typed


def raw(**fields: Any) -> RawJob:
    return RawJob(where="p.md", folder=Path("here"), fields=fields, problem="What is it?")


def test_without_flags_a_job_stays_as_it_was_written() -> None:
    for job in (raw(), raw(title="t", checks=[{"answer": 1}], tags=["a"], budget={"usd": 1})):
        assert with_flags(job, Flags()) == job


def test_single_values_beat_the_files_and_lists_are_added_to_its_own() -> None:
    job = raw(title="t", priority=1, checks=[{"answer": 1}], tags=["a"], budget={"usd": 1, "hours": 2})
    flags = Flags(title="u", priority=0, checks=({"answer": 2},), tags=("b",), budget={"usd": 3, "tokens": 4})
    assert with_flags(job, flags) == raw(
        title="u",
        priority=0,
        checks=[{"answer": 1}, {"answer": 2}],
        tags=["a", "b"],
        budget={"usd": 3, "hours": 2, "tokens": 4},
    )


def test_flags_stand_where_the_file_says_nothing() -> None:
    flags = Flags(checks=({"answer": 2},), tags=("b",), budget={"usd": 3}, memory=False)
    assert with_flags(raw(), flags) == raw(checks=[{"answer": 2}], tags=["b"], budget={"usd": 3}, memory=False)


def test_a_value_of_another_type_is_left_to_the_rule_of_its_field() -> None:
    job = raw(checks="one", tags=7, budget=5)
    assert with_flags(job, Flags(checks=({"answer": 2},), tags=("b",), budget={"usd": 3})) == job


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("answer:42", "42"),
        ("answer:X marks: it", "X marks: it"),
        ("answer:a [list]", "a [list]"),
        ("answer:[1, 2]", [1, 2]),
        ("answer: [1]", [1]),
        ("answer: {number: 3}", {"number": 3}),
    ],
)
def test_a_check_is_read_as_yaml_where_it_begins_with_a_bracket(text: str, value: object) -> None:
    check = parse_check_flag(text, held_out=True, flag="--check")
    assert check == {"answer": value, "held_out": True}
    assert isinstance(check["answer"], Typed) is isinstance(value, str)


@pytest.mark.parametrize("text", ["answer", "answer:", "answer: ", ":42", "An swer:42", "9:42"])
def test_a_check_that_is_no_kind_and_value_is_refused_by_its_flag(text: str) -> None:
    with pytest.raises(InvalidInput, match="KIND:VALUE") as caught:
        parse_check_flag(text, held_out=False, flag="--held-out-check")
    assert (caught.value.field, caught.value.value) == ("--held-out-check", text)


def test_yaml_that_cannot_be_read_is_refused_by_its_flag() -> None:
    with pytest.raises(InvalidInput, match="not valid YAML") as caught:
        parse_check_flag("answer:[1", held_out=False, flag="--check")
    assert caught.value.field.startswith("--check line 1")


def test_budgets_are_whole_numbers_where_their_fields_are() -> None:
    budget = parse_budget_flag(["usd=2, hours=4", "iterations=3,tokens=1_000"])
    assert budget == {"usd": 2.0, "hours": 4.0, "iterations": 3, "tokens": 1000}
    assert [type(value) for value in budget.values()] == [float, float, int, int]


@pytest.mark.parametrize(("text", "value"), [("iterations=1.5", "1.5"), ("usd=two", "two"), ("usd=1=2", "1=2")])
def test_what_is_no_number_is_left_to_the_rule_of_its_field(text: str, value: str) -> None:
    assert parse_budget_flag([text]) == {text.partition("=")[0]: value}


@pytest.mark.parametrize(
    ("texts", "part", "reason"),
    [
        (["usd=1,hours"], "hours", "NAME=NUMBER"),
        ([""], "", "NAME=NUMBER"),
        (["usd=1", "hours=2,usd=3"], "usd=3", "usd is given once"),
    ],
)
def test_a_budget_that_cannot_be_read_is_refused_by_its_part(texts: list[str], part: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        parse_budget_flag(texts)
    assert (caught.value.field, caught.value.value) == ("--budget", part)
