"""What is taken out of a candidate's text, beside what ops/docs/answers.md shows."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.validators.extraction import answer_of, code_of, find_code, json_of, last_fenced_block
from tasks.validators.extraction.jsontext import Scanner
from tasks.validators.extraction.syntax import ATTEMPTS, Parser
from tasks.validators.text import clipped, printable


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


BLOCK = "```python\n{}```\n"


def blocks(*sources):
    return "Text.\n".join(BLOCK.format(source) for source in sources)


@pytest.mark.parametrize(
    ("sources", "wanted", "position"),
    [
        (["def f(): pass\n", "from solution import f\ndef test_f(): f()\n"], ["f"], 0),
        (["def f(): pass\n", "import solution\nsolution.f()\n"], ["f"], 0),
        (["def f(): pass\n", "def test_f(): f()\n"], [], 0),
        (["def f(): pass\n", ">>> f()\n1\n"], ["f"], 0),
        (["def f(): pass\n", "def f(:\n"], ["f"], 0),
        (["class C: pass\n", "def g(): pass\n"], ["C"], 0),
        (["def f(): pass\n", "f = 3\n"], ["f"], 1),
        (["f = lambda: 1\n", "print(f())\n"], ["f"], 0),
        (["try:\n    from math import gcd\nexcept ImportError:\n    gcd = None\n", "gcd(4, 2)\n"], ["gcd"], 0),
        (["def other(): pass\n", "x = 1\n"], ["f"], 0),
    ],
)
def test_the_block_that_defines_what_is_wanted_is_the_code(sources, wanted, position):
    assert find_code(blocks(*sources), wanted).source == sources[position]


def test_a_block_gets_what_it_needs_of_the_others_and_nothing_that_replaces_it():
    text = blocks("from typing import List\n", "def f(a: List) -> int:\n    return g(a)\n", "def g(a): return 1\n")
    assert find_code(text, ["f"]).source.split("\n\n\n") == [
        "from typing import List",
        "def f(a: List) -> int:\n    return g(a)",
        "def g(a): return 1\n",
    ]
    text = blocks("def f(): return g()\n", "def f(): return 2\ndef g(): return 3\n")
    assert find_code(text, ["f", "g"]).source == "def f(): return 2\ndef g(): return 3\n"


def test_imports_of_the_future_go_to_the_top_of_blocks_that_are_put_together():
    future = "from __future__ import annotations\n"
    source = find_code(blocks(future + "def f(): pass\n", future + "def g(): pass\n"), ["f", "g"]).source
    assert source.startswith(future)
    assert source.count(future) == 1
    compile(source, "solution.py", "exec")


def test_blocks_that_the_text_names_as_files_are_modules_of_the_solution():
    named = "`solution.py`:\n" + BLOCK.format("from tools import g\ndef f(): return g()\n")
    text = named + "### tools.py\n" + BLOCK.format("def g(): return 1\n")
    code = find_code(text, ["f"])
    assert code.source == "from tools import g\ndef f(): return g()\n"
    assert code.modules == {"tools.py": "def g(): return 1\n"}


@pytest.mark.parametrize("line", ["\r\n", "\r", "\n"])
def test_all_ends_of_lines_are_read(line):
    assert find_code(BLOCK.format("def f():\n    return 1\n").replace("\n", line), ["f"]).source == (
        "def f():\n    return 1\n"
    )


@pytest.mark.parametrize("char", ["\u2028", "\x0c", "\x0b", "\x85", "\u2029"])
def test_other_separators_end_no_line(char):
    assert answer_of(f"Words{char}ANSWER: 5") is None
    assert answer_of(f"ANSWER: 5{char}6") == f"5{char}6"


def test_a_fence_in_a_docstring_may_carry_a_language():
    source = 'def f():\n    """So:\n\n```python\nf()\n```\n    """\n    return 1\n'
    assert find_code(BLOCK.format(source) + "```text\n1\n```\n", ["f"]).source == source


HOSTILE = {
    "brackets": "(" * 150_000,
    "minus": "-" * 150_000 + "1",
    "attributes": "a" + ".b" * 70_000,
    "a null byte": "def f(): pass\0",
    "a surrogate": "f = '\ud800'",
    "too long": "x = 1\n" * 40_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_source_that_can_not_be_compiled_is_taken_as_it_stands(name):
    assert find_code(BLOCK.format(HOSTILE[name] + "\n"), ["f"]).source == HOSTILE[name] + "\n"


def test_however_many_blocks_there_are_so_many_sources_are_compiled_at_most():
    parser = Parser()
    for number in range(3 * ATTEMPTS):
        parser.outline(f"x = {number}\n")
    assert (parser.attempts, parser.exhausted) == (ATTEMPTS, True)
    text = blocks(*(f"def f{number}(): pass\n" for number in range(3 * ATTEMPTS)))
    last = 3 * ATTEMPTS - 1
    assert find_code(text, [f"f{last}"]).source == f"def f{last}(): pass\n"


@given(st.text("`~\n \"'()ab=:#>-", max_size=120), st.lists(st.sampled_from(["a", "b"]), max_size=2))
def test_any_text_gives_some_source_and_the_same_one_again(text, wanted):
    code = find_code(text, wanted)
    assert isinstance(code.source, str)
    assert code == find_code(text, wanted)


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
    assert clipped("a" * 20, 20) == "a" * 20
    assert clipped("  a  b" + "c" * 50, 6) == "  a …"
    assert clipped("abc", 1) == " …"


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


@settings(max_examples=500)
@given(st.text('[]{}",:1a \\\n', max_size=40))
def test_one_pass_finds_the_json_that_a_try_at_each_bracket_finds(text):
    decoder, found, at = json.JSONDecoder(), None, 0
    while begin := re.compile(r"[{\[]").search(text, at):
        try:
            _, at = decoder.raw_decode(text, begin.start())
            found = text[begin.start() : at]
        except ValueError:
            at = begin.end()
    assert Scanner(text).last() == found


@pytest.mark.parametrize("piece", ["[", "[{", '{"a":', '["', '["a",', '{"a":[1,"b [', "[1]x", '"[', '{"a":1'])
def test_brackets_without_end_cost_a_look_each(piece):
    scanner = Scanner(piece * 20_000)
    scanner.last()
    assert scanner.steps <= len(piece) * 20_000


@given(
    st.lists(st.sampled_from(['["', '{"a":', '"b",', "[", "{", '"', '\\"', '" :"', '":1}', "]", "}", "x"]), max_size=60)
)
def test_any_text_costs_a_few_looks_a_character(pieces):
    scanner = Scanner("".join(pieces) * 5)
    scanner.last()
    assert scanner.steps <= 3 * len("".join(pieces)) * 5


def test_what_a_database_or_terminal_cannot_take_is_replaced():
    assert printable("a\0b\x1b[0m\ud800\n\tü") == "a\ufffdb\ufffd[0m\ufffd\n\tü"
