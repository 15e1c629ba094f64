"""Each row of the tables in ops/docs/answers.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tasks.types import CheckSpec
from tasks.validators.answer import AnswerValidator, is_about_form
from tasks.validators.extraction import answer_of, find_code, json_of
from tasks.validators.inside.same_math import compare

PAGE = Path(__file__).parents[3] / "ops" / "docs" / "answers.md"
WORDS = {"same": "right", "other": "wrong", "unreadable": "form"}


def rows(heading):
    """The cells of a section's table, without their marks of code, with their line breaks."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell(text) for text in line.strip("|").split(" |")] for line in lines]


def cell(text):
    match = re.fullmatch(r"(`+)(.*)\1", text.strip())
    content = match[2] if match else text.strip()
    return (content[1:-1] if match and len(match[1]) > 1 else content).replace("⏎", "\n")


@pytest.mark.parametrize(("text", "names", "expected"), rows("Code"))
def test_the_code_of_the_table_is_found(text, names, expected):
    assert find_code(text, names.split()).source == expected


@pytest.mark.parametrize(("text", "expected"), rows("JSON"))
def test_the_json_of_the_table_is_found(text, expected):
    assert (json_of(text) or "") == expected


@pytest.mark.parametrize(("text", "expected"), rows("The answer line"))
def test_the_answer_of_the_table_is_found(text, expected):
    assert (answer_of(text) or "") == expected


@pytest.mark.parametrize(("expected", "answer", "outcome"), rows("How it is compared"))
def test_the_answer_of_the_table_is_judged_so(expected, answer, outcome, no_sandbox, heartbeat):
    check = CheckSpec(name="a", kind="answer", value=expected)
    verdict = AnswerValidator().validate(f"ANSWER: {answer}", check, no_sandbox, heartbeat)
    assert ("right" if verdict.passed else "form" if is_about_form(verdict.feedback) else "wrong") == outcome


@pytest.mark.parametrize(("expected", "answer", "outcome"), rows("Mathematics"))
def test_the_mathematics_of_the_table_is_judged_so(expected, answer, outcome):
    assert WORDS[compare(expected, answer)] == outcome


def test_every_table_has_rows():
    sections = ("Code", "JSON", "The answer line", "How it is compared", "Mathematics")
    assert all(len(rows(heading)) >= 8 for heading in sections)
