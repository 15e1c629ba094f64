"""The guard: what is a loop, where it begins, and that chunks make no difference."""

from __future__ import annotations

import inspect
import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks.policy.endings
from tasks.llm.cycles import COPIES, COVERED_CHARS, GRID_CHARS, GRID_PIECES, RUN_CHARS, VARIED_CHARS, WORDLESS_CHARS
from tasks.llm.guard import STEP_CHARS, Guard, engine_hit, scan
from tasks.llm.wording import has_word
from tasks.types import GuardHit, GuardKind


def _noise(seed: int, length: int) -> str:
    """Text without a repetition worth the name."""
    return "".join(random.Random(seed).choices("abcdefghijklmnopqrstuvwxyz ,.\n", k=length))


def _fed(text: str, sizes: list[int]) -> GuardHit | None:
    guard, at, turn = Guard(), 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        guard.feed(text[at : at + size])
        at, turn = at + size, turn + 1
    return guard.finish()


@pytest.mark.parametrize("unit", ["again\n", "Q\n", "the ", "no, "])
def test_a_loop_of_one_word_is_found_whatever_ends_it(unit: str) -> None:
    for before in range(STEP_CHARS):  # each rotation of the unit comes to be the text's end at a look
        hit = scan("#" * before + unit * (COVERED_CHARS // len(unit) + 1))
        assert hit is not None
        assert hit.period_chars == len(unit)


@given(seed=st.integers(0, 10_000), period=st.integers(4, 2_000), prefix=st.integers(0, 9_000))
@settings(max_examples=60, deadline=None)
def test_a_cycle_of_any_period_is_found_where_it_begins(seed: int, period: int, prefix: int) -> None:
    copies = max(COPIES, -(-COVERED_CHARS // period)) + 1
    before = _noise(seed, prefix).rstrip("#") + "#"
    cycle = "Quay" + _noise(seed + 1, period - 4)
    hit = scan(before + cycle * copies)
    assert hit is not None
    if hit.kind is GuardKind.TEMPLATE:  # equal lines, found first: they begin within the first copy
        assert "\n" in cycle
        assert len(before) <= hit.at_char <= len(before) + period
    else:
        assert (hit.kind, hit.at_char, hit.period_chars) == (GuardKind.CYCLE, len(before), period)
    assert hit.copies >= COPIES


@given(
    seed=st.integers(0, 10_000),
    period=st.integers(1, 400),
    copies=st.integers(1, 300),
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=6),
)
@settings(max_examples=80, deadline=None)
def test_how_a_text_is_cut_into_chunks_makes_no_difference(
    seed: int, period: int, copies: int, sizes: list[int]
) -> None:
    text = _noise(seed, 300) + _noise(seed + 1, period) * min(copies, 6_000 // period + 1) + _noise(seed + 2, 100)
    assert _fed(text, sizes) == _fed(text, [len(text)])


@given(seed=st.integers(0, 10_000), length=st.integers(0, 12_000))
@settings(max_examples=40, deadline=None)
def test_text_that_does_not_repeat_is_never_caught(seed: int, length: int) -> None:
    assert scan(_noise(seed, length)) is None


@given(before=st.text(max_size=60), unit=st.text(min_size=1, max_size=40))
@settings(deadline=None)
def test_a_cycle_found_is_a_true_one_and_copies_of_a_word_are_always_found(before: str, unit: str) -> None:
    text = before + unit * (RUN_CHARS // len(unit) + COPIES)
    hit = scan(text)
    assert hit is not None or not has_word(unit) or set(unit) == {"A"}  # zero bytes in base64
    if hit is not None and hit.kind is GuardKind.CYCLE:
        stretch = text[hit.at_char : hit.at_char + hit.copies * hit.period_chars]
        assert stretch == stretch[: hit.period_chars] * hit.copies
        assert hit.copies >= COPIES


@pytest.mark.parametrize(("length", "is_hit"), [(400, False), (401, True)])
@pytest.mark.parametrize("character", ["-", " ", "\n"])
def test_a_run_of_one_character_must_be_longer_than_a_ruler(character: str, length: int, is_hit: bool) -> None:
    assert (scan("Table:" + character * length) is not None) is is_hit


@pytest.mark.parametrize(
    "text",
    [
        "board = [\n" + "    [0, 0, 0, 0, 0, 0, 0, 0, 0],\n" * 9 + "]\n",
        "    [" + "0, " * 14 + "0],\n" + ("    [" + "0, " * 14 + "0],\n") * 14,
        "| a | b |\n|" + "---|" * 60,
        "{" + "0x00, " * 60 + "}",
        "1.5, " * 60,
        "IS_ODD = [" + "False, " * 29 + "True]",
        "TABLE = [\n" + ("    " + "null, " * 16 + "\n") * 16 + "]",
        "board = [\n" + ("    [" + "None, " * 20 + "],\n") * 20 + "]",
        "('nextgroup', 'nextgroup'),\n" * 20,
        "<tr><td></td><td>&nbsp;</td></tr>\n" * 40,
        "A" * 64 + ("\n" + "A" * 64) * 6,
        ("OXOXOXOX\nXOXOXOXO\n" * 4 + "\n") * 4,
    ],
)
def test_grids_number_lists_lookup_tables_and_empty_cells_are_no_loop(text: str) -> None:
    assert scan(text) is None


@pytest.mark.parametrize(
    ("unit", "least"),
    [
        ("False, ", GRID_CHARS),
        ("0, ", GRID_PIECES * 3 // 2),
        ("0x00, ", GRID_PIECES * 6 // 5),
        ("|---", WORDLESS_CHARS),
        (".12", WORDLESS_CHARS),
        ("0, 0, 0,\n", GRID_PIECES * 9 // 7),
        ("1234567890", WORDLESS_CHARS),
        ("".join(f"{letter}: \n" for letter in string.ascii_uppercase), VARIED_CHARS),
        ("2*16, 4*16, 8*16, 32*16, 64*16, 9*16, ", VARIED_CHARS),
    ],
)
def test_copies_without_a_word_are_a_loop_when_there_is_no_end_of_them(unit: str, least: int) -> None:
    copies = least // len(unit) + 1
    assert scan("list: " + unit * copies) is not None
    assert scan("list: " + unit * (copies - max(1, 40 // len(unit)))) is None


@pytest.mark.parametrize("unit", ["ha", "the ", "no, no, ", "说。"])
def test_short_words_over_and_over_are_a_loop(unit: str) -> None:
    assert scan("Well: " + unit * (-(-COVERED_CHARS // len(unit)))) is not None


def test_a_whole_text_has_all_its_copies_counted() -> None:
    hit = scan("Intro. " + "The same line again.\n" * 40 + "And out.")
    assert hit is not None
    assert (hit.at_char, hit.copies) == (7, 40)


@pytest.mark.parametrize(
    ("loop", "kind"),
    [
        ("The same line again and again.\n" * 40, GuardKind.CYCLE),
        ("".join(f"{n}. The reader should follow the method.\n" for n in range(40)), GuardKind.TEMPLATE),
        (
            "".join(f"Case {n}: the reader follows the method of the bridge. " for n in range(99)),
            GuardKind.TEMPLATE,
        ),
    ],
)
def test_where_a_loop_begins_is_right_far_into_a_text(loop: str, kind: GuardKind) -> None:
    before = _noise(4, 50_000) + "\n"
    hit = scan(before + loop)
    assert hit is not None
    assert hit.kind is kind
    assert abs(hit.at_char - len(before)) <= 1


def test_a_cycle_that_holds_smaller_cycles_is_found() -> None:
    block = "ab" * 40 + "cd" + "-" * 120 + "\n"
    hit = scan("start " + block * 4)
    assert hit is not None
    assert hit.period_chars == len(block)


def test_two_copies_are_no_loop() -> None:
    assert scan(_noise(1, 900) * 2 + _noise(2, 50)) is None


def test_ordinary_source_code_is_no_loop() -> None:
    assert scan(inspect.getsource(tasks.policy.endings)) is None


def test_the_hit_stays_once_it_is_found() -> None:
    guard = Guard()
    hit = guard.feed("spam " * 100)
    assert hit is not None
    assert guard.feed(_noise(3, 500)) == hit
    assert guard.finish() == hit


@pytest.mark.parametrize(
    ("text", "at_char", "copies"),
    [("Well. " + "yes! " * 60, 5, 60), ("Well, yes! yes! yes! ", 5, 3), ("nothing repeats", 15, 1), ("", 0, 1)],
)
def test_what_the_engine_ended_is_a_hit_even_where_we_see_little(text: str, at_char: int, copies: int) -> None:
    hit = engine_hit(text)
    assert (hit.kind, hit.at_char) == (GuardKind.ENGINE, at_char)
    assert hit.copies <= copies
    assert hit.copies >= min(copies, COPIES)
