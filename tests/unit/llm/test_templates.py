"""The third net: what lines are equal but for their numbers, and which of them are data."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tasks.llm.guard import scan
from tasks.llm.templates import CODE_COPIES, PROSE_COPIES, Templates
from tasks.types import GuardHit, GuardKind


def _fed(text: str) -> GuardHit | None:
    net = Templates()
    for at in range(0, len(text), 16):
        hit = net.feed(text[at : at + 16])
        if hit is not None:
            return hit
    return None


def _lines(line: Callable[[int], str], count: int) -> str:
    return "".join(line(n) for n in range(1, count + 1))


def _item(n: int) -> str:
    return f"{n}. The reader should follow the method.\n"


@pytest.mark.parametrize(("count", "is_hit"), [(PROSE_COPIES - 1, False), (PROSE_COPIES, True)])
def test_a_list_that_only_counts_is_a_loop_from_the_twelfth_line_on(count: int, is_hit: bool) -> None:
    assert (_fed("Intro.\n" + _lines(_item, count)) is not None) is is_hit


def test_the_hit_names_the_first_line_and_the_copies() -> None:
    before = "An introduction.\n\nAnd another line.\n"
    hit = _fed(before + _lines(_item, 40))
    assert hit is not None
    assert (hit.kind, hit.at_char, hit.copies) == (GuardKind.TEMPLATE, len(before), PROSE_COPIES)
    assert abs(hit.period_chars - len(_item(10))) <= 1


def test_a_scan_counts_the_copies_to_the_end() -> None:
    hit = scan("Intro.\n" + _lines(_item, 60))
    assert hit is not None
    assert abs(hit.copies - 60) <= 4


def test_blocks_of_lines_with_a_number_in_them_are_a_loop_too() -> None:
    text = _lines(lambda n: f"Attempt {n}:\nThe worker reads the ledger.\nNothing in it has changed.\n\n", 20)
    hit = _fed("Intro.\n\n" + text)
    assert hit is not None
    assert (hit.at_char, hit.copies) == (8, PROSE_COPIES)


@pytest.mark.parametrize(
    "line",
    [
        lambda n: f"| {n} | pending | the worker waits |\n",
        lambda n: f'{{"id": {n}, "state": "the worker waits"}},\n',
        lambda n: f"{n},worker,waiting,{n}\n",
        lambda n: f"12:{n % 60:02}:07 the worker waits for the queue\n",
        lambda n: f"{n} times {n} is {n * n}\n",
    ],
    ids=["markdown table", "json", "csv", "log", "figures"],
)
def test_rows_of_data_are_never_a_template(line: Callable[[int], str]) -> None:
    assert _fed(_lines(line, 300)) is None


@pytest.mark.parametrize(("count", "is_hit"), [(CODE_COPIES - 1, False), (CODE_COPIES, True)])
def test_lines_of_code_may_be_many(count: int, is_hit: bool) -> None:
    assert (_fed(_lines(lambda n: f"    assert measure({n}) == wanted\n", count)) is not None) is is_hit


def test_a_count_that_falls_ends_by_itself() -> None:
    text = "".join(f"{n} bottles are standing on the wall.\n" for n in range(99, 0, -1))
    assert _fed(text) is None
    assert _fed("".join(reversed(text.splitlines(keepends=True)))) is not None


def test_items_with_words_of_their_own_are_no_template() -> None:
    nouns = ("river", "bridge", "engine", "garden", "letter", "market", "window")
    assert _fed(_lines(lambda n: f"{n}. The reader should follow the {nouns[n % 7]} {nouns[n % 5]}.\n", 60)) is None


def test_a_paragraph_between_the_lines_ends_the_run() -> None:
    assert _fed(_lines(_item, PROSE_COPIES - 1) + "x y " * 400 + "\n" + _lines(_item, PROSE_COPIES - 1)) is None
