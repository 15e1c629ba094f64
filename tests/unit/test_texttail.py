"""The end of a text that grows: all of what was added, as far back as it is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.texttail import TAIL_CHARS, TextTail


@given(st.lists(st.text(max_size=TAIL_CHARS), max_size=12))
def test_it_is_the_end_of_all_that_was_added(parts: list[str]) -> None:
    tail = TextTail()
    for part in parts:
        tail.add(part)
    assert tail.read() == "".join(parts)[-TAIL_CHARS:]
    assert tail.chars == len("".join(parts))


def test_what_begins_anew_keeps_nothing() -> None:
    tail = TextTail()
    tail.add("before")
    tail.clear()
    tail.add("after")
    assert (tail.read(), tail.chars) == ("after", 5)
