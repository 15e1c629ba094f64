"""Edits of a whole answer: all apply, or none does and the reason is one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.edits import EditError, body_of, edited, has_edits
from tasks.policy import is_unapplied
from tasks.types import Candidate, CandidateRef, Operator

SOURCE = "def area(w, h):\n    total = w * h\n    return total\n\n\ndef edge(w, h):\n    return 2 * (w + h)"
PARENT = f"I multiply.\n\n```python\n{SOURCE}\n```\nThat is all."


def block(search: str, replace: str) -> str:
    return f"<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


def test_edits_change_the_code_and_leave_the_prose_behind() -> None:
    first, second = block("    total = w * h", "    total = h * w"), block("def edge(w, h):", "def rim(w, h):")
    written = f"First:\n{first}\nThen:\n{second}"
    text = SOURCE.replace("w * h", "h * w").replace("edge", "rim")
    assert edited(written, PARENT) == f"```python\n{text}\n```\n"
    assert edited(f"```\n{written}```", PARENT) == f"```python\n{text}\n```\n"


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (block("    return nothing", "x"), "fits nowhere: the file does not have `return nothing`"),
        (
            block("    return total", "x") + block("    return 3", "y"),
            "fits nowhere: the file does not have `return 3`",
        ),
        (block("", "x"), "names no lines"),
        (block("    return total", "    return total"), "changes nothing"),
        (
            block("    return total", "    return 1") + block("    return 1", "    return total"),
            "The edits change nothing",
        ),
        (block("    return total", "x").partition(">>>>>>>")[0], "has no line `>>>>>>> REPLACE`"),
        (block("    return total", "x") + "<<<<<<< SEARCH\n    total", "has no line `=======`"),
    ],
)
def test_what_does_not_apply_is_refused_with_one_reason(written: str, why: str) -> None:
    assert has_edits(written)
    with pytest.raises(EditError) as refused:
        edited(written, PARENT)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_lines_that_are_there_twice_are_ambiguous() -> None:
    twice = "```\na\nb\na\n```"
    with pytest.raises(EditError, match="at 2 places"):
        edited(block("a", "c"), twice)
    assert edited(block("b\na", "c"), twice) == "```\na\nc\n```\n"


@pytest.mark.parametrize("written", ["```python\nx = 1\n```", "Some prose.", "", "a << b >> c", "x ===== y"])
def test_a_text_without_edits_is_a_whole_answer(written: str) -> None:
    assert not has_edits(written)
    assert edited(written, PARENT) == written


@pytest.mark.parametrize(
    ("answer", "text", "label"),
    [
        (PARENT, SOURCE, "python"),
        ("```\nx\n```", "x", ""),
        ("no code", "no code", None),
        ("```py\na\n```\nand\n```py\nb\n```", "```py\na\n```\nand\n```py\nb\n```", None),
        ("```python\nnever closed", "```python\nnever closed", None),
    ],
)
def test_what_is_edited_is_the_one_code_block_or_all(answer: str, text: str, label: str | None) -> None:
    body = body_of(answer)
    assert (body.text, body.label) == (text, label)


lines = st.lists(st.text("abc =<>`", max_size=6), min_size=1, max_size=12)


@given(lines, lines, st.data())
def test_an_edit_replaces_its_lines_and_touches_no_other(
    before: list[str], new: list[str], data: st.DataObject
) -> None:
    marked = [f"{number} {line}".rstrip() for number, line in enumerate(before)]
    begin = data.draw(st.integers(0, len(marked) - 1))
    end = data.draw(st.integers(begin + 1, len(marked)))
    replaced = [f"new {line}".rstrip() for line in new]
    text = edited(block("\n".join(marked[begin:end]), "\n".join(replaced)), "\n".join(marked))
    assert text.split("\n") == [*marked[:begin], *replaced, *marked[end:]]


def candidate(text: str, operator: Operator) -> Candidate:
    ref = CandidateRef(iteration=2, slot=0)
    return Candidate(ref=ref, operator=operator, text=text, root=ref)


def test_a_candidate_is_unapplied_while_it_is_the_edits_that_its_author_wrote() -> None:
    assert is_unapplied(candidate(block("nowhere", "x"), Operator.EDIT))
    assert is_unapplied(candidate("<<<<<<< SEARCH\nnever closed", Operator.EDIT))
    assert not is_unapplied(candidate("x = 1", Operator.EDIT))
    assert not is_unapplied(candidate(block("a", "b"), Operator.MUTATE)), "of files it is an answer"
