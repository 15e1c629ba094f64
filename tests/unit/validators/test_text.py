"""What is taken out of a candidate's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.validators.text import answer_of, clipped, code_of, json_of, last_fenced_block, printable


def test_the_last_of_several_blocks_is_the_code():
    text = "First\n```python\na = 1\n```\nbetter:\n```python\na = 2\n```\nDone."
    assert code_of(text) == "a = 2\n"


def test_a_text_without_a_block_is_code_as_a_whole():
    assert code_of("def f():\n    return 1\n") == "def f():\n    return 1\n"


def test_a_block_cut_off_at_the_token_limit_runs_to_the_end():
    assert code_of("Here:\n```python\na = 1\nb = 2") == "a = 1\nb = 2\n"


def test_an_empty_block_at_the_end_does_not_hide_the_code():
    assert code_of("```\na = 1\n```\n```") == "a = 1\n"


def test_a_block_inside_a_list_is_dedented():
    assert code_of("1. So:\n\n    ```python\n    def f():\n        return 1\n    ```\n") == "def f():\n    return 1\n"


def test_a_longer_fence_holds_shorter_ones():
    assert last_fenced_block("````md\n```python\na\n```\n````") == "```python\na\n```\n"


def test_tildes_fence_too_and_are_not_closed_by_backticks():
    assert last_fenced_block("~~~\na\n```\nb\n~~~") == "a\n```\nb\n"


def test_backticks_in_a_sentence_are_no_fence():
    assert last_fenced_block("Use ```x``` here") is None


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("ANSWER: 42", "42"),
        ("  ANSWER:42  ", "42"),
        ("**ANSWER: 42**", "42"),
        ("**ANSWER:** 42", "42"),
        ("`ANSWER: 42`", "42"),
        ("ANSWER: **42**", "42"),
        ("ANSWER: `x + 1`", "x + 1"),
        ("*ANSWER: 42*", "42"),
        ("ANSWER: 2*x*y", "2*x*y"),
        ("ANSWER: **a** or **b**", "**a** or **b**"),
        ("ANSWER:", ""),
    ],
)
def test_an_answer_is_read_through_its_markdown(line, answer):
    assert answer_of(f"Because.\n{line}\n") == answer


def test_the_last_answer_line_counts():
    assert answer_of("ANSWER: 1\nno, wait\nANSWER: 2\nThat is it.") == "2"


@pytest.mark.parametrize("text", ["", "answer: 42", "The ANSWER: 42", "Answer: 42"])
def test_a_line_that_does_not_begin_so_is_no_answer(text):
    assert answer_of(text) is None


def test_a_clipped_text_keeps_to_its_length_and_shows_the_cut():
    assert clipped("a" * 50, 20) == "a" * 18 + " …"
    assert clipped("short", 20) == "short"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('```json\n{"a": 1}\n```\n```text\nbye\n```', '{"a": 1}\n'),
        ('```\n{"a": 1}\n```\n', '{"a": 1}\n'),
        ('```JSON\n{"a": 1,\n', '{"a": 1,\n'),
        ('It is {"a": [1]} or rather {"b": {"c": 2}}.', '{"b": {"c": 2}}'),
        ("{ not this, but [1, 2] is", "[1, 2]"),
        (' "a text" ', '"a text"'),
        ("-1.5e3", "-1.5e3"),
        ("null", "null"),
        ("There are 3 of them.", None),
        ("", None),
    ],
)
def test_the_last_json_of_a_text_is_found(text, found):
    assert json_of(text) == found


@given(st.text('[]{}",:1a `\n', max_size=200))
def test_any_text_can_be_searched_for_json(text):
    found = json_of(text)
    assert found is None or found.strip()


def test_what_a_database_or_terminal_cannot_take_is_replaced():
    assert printable("a\0b\x1b[0m\ud800\n\tü") == "a\ufffdb\ufffd[0m\ufffd\n\tü"
