"""The three nets at their limits: one character, one copy or one line more or less."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from tasks.llm.compression import EVERY_CHARS, SELDOM, WINDOWS, compressible_tail
from tasks.llm.cycles import COVERED_CHARS, GRID_PIECES, RUN_CHARS, VARIED_CHARS, tail_cycle
from tasks.llm.guard import Guard, engine_hit, scan
from tasks.llm.templates import CODE_COPIES, LINE_CHARS, PROSE_COPIES, Templates
from tasks.types import GuardHit, GuardKind


def test_a_cycle_is_told_with_its_begin_its_whole_copies_and_its_period() -> None:
    assert tail_cycle("the " * 50) == GuardHit(kind=GuardKind.CYCLE, at_char=0, copies=50, period_chars=4)
    hit = tail_cycle("x" + " " + "the " * 50)
    assert hit == GuardHit(kind=GuardKind.CYCLE, at_char=1, copies=50, period_chars=4)
    assert hit is not None
    assert isinstance(hit.copies, int)
    assert tail_cycle("the " * 49 + "the") is None


def test_a_run_of_one_character_has_a_period_of_one() -> None:
    hit = tail_cycle("=" * (RUN_CHARS + 1))
    assert hit is not None
    assert (hit.period_chars, hit.copies) == (1, RUN_CHARS + 1)


def test_a_row_that_is_almost_a_whole_copy_does_not_hide_the_copy() -> None:
    unit = "ab" + "0, " * 20
    hit = tail_cycle(unit * 60)
    assert hit is not None
    assert (hit.period_chars, hit.copies) == (len(unit), 60)


def test_copies_without_a_word_need_more_than_the_least_of_those_with_one() -> None:
    assert tail_cycle("#" + "|---" * (COVERED_CHARS // 4)) is None


def test_six_different_runs_are_varied_and_five_are_not() -> None:
    six, five = "1*2*3*4*5*6, ", "1*2*3*4*5, "
    assert tail_cycle("#" + six * (VARIED_CHARS // len(six) + 1)) is not None
    assert tail_cycle("#" + five * (VARIED_CHARS // len(five) + 1)) is None


def test_a_grid_of_single_characters_is_counted_in_pieces() -> None:
    assert tail_cycle("#" + "0,\n" * (GRID_PIECES * 2)) is not None


def test_the_longer_windows_are_looked_at_once_in_a_while() -> None:
    sentence = "The quiet bridge follows a lamp in the market of the river town. "
    text = (sentence * 200)[: WINDOWS[0][0]]
    assert compressible_tail(text, EVERY_CHARS) is not None
    hit = compressible_tail(text, EVERY_CHARS)
    assert hit is not None
    assert (hit.kind, hit.at_char) == (GuardKind.COMPRESSION, 0)
    assert hit.copies == len(text) // hit.period_chars
    assert isinstance(hit.copies, int)
    assert hit.period_chars == len(sentence)
    assert compressible_tail(text[1:], EVERY_CHARS * SELDOM) is None


def rounds(chars: int) -> str:
    """Four sentences in ever another order: the first window finds them too varied."""
    sentences = ["The quiet bridge follows a lamp. ", "Nobody counts the early feather. "]
    sentences += ["Ana repairs that steep window. ", "A river turns below the old mill. "]
    rng, text = random.Random(0), ""
    while len(text) < chars:
        text += "".join(rng.sample(sentences, 4))
    return text[-chars:]


@pytest.mark.parametrize(("looks", "is_hit"), [(1, False), (2, False), (3, False), (4, True), (5, False), (8, True)])
def test_what_only_a_longer_window_finds_is_found_at_every_fourth_look(looks: int, is_hit: bool) -> None:
    assert (compressible_tail(rounds(WINDOWS[1][0] + 100), looks * EVERY_CHARS) is not None) is is_hit


def test_the_guard_looks_for_what_packs_well_at_its_own_pace() -> None:
    guard = Guard()
    hit = guard.feed(rounds(8_000).replace(".", " ="))
    assert hit is not None
    assert hit.kind is GuardKind.COMPRESSION
    assert guard.read % (EVERY_CHARS * SELDOM) == 0


def test_copies_are_counted_from_where_they_begin() -> None:
    before = "".join(random.Random(2).choices("abcdefghijklmnopqrstuvwxyz ", k=1_000)) + "\n"
    text = before + "The quiet bridge follows a lamp in the market of the river town. " * 40
    hit = compressible_tail(text, EVERY_CHARS)
    assert hit is not None
    assert abs(hit.at_char - len(before)) <= 24
    assert hit.copies == (len(text) - hit.at_char) // hit.period_chars == 40


def test_the_period_of_short_copies_is_that_of_one() -> None:
    piece = "the quiet bridge follows"
    hit = compressible_tail(piece * 100, EVERY_CHARS)
    assert hit is not None
    assert (hit.period_chars, hit.copies) == (len(piece), 100)


def test_copies_whose_end_holds_no_two_equal_pieces_have_the_period_of_one_piece() -> None:
    piece = "the quiet bridge follows"
    ends = "".join(piece[:-1] + chr(ord("α") + number) for number in range(16))
    hit = compressible_tail(piece * 75 + ends, EVERY_CHARS)
    assert hit is not None
    assert hit.period_chars == len(piece)


def test_half_of_a_surrogate_pair_is_text_like_any_other() -> None:
    text = "the words \ud800 go on " * 300
    assert compressible_tail(text, EVERY_CHARS * SELDOM) is not None
    assert scan(text) is not None


def test_the_guard_looks_as_soon_as_a_step_is_full() -> None:
    guard = Guard()
    assert guard.feed("the " * 52) is not None  # 208 characters: thirteen whole steps
    assert guard.read == 208


def test_a_text_that_has_ended_is_examined_once() -> None:
    guard = Guard()
    guard.feed("abc")
    assert (guard.finish(), guard.read) == (None, 3)
    assert (guard.finish(), guard.read) == (None, 3)


def test_a_copy_that_is_cut_short_is_not_counted() -> None:
    hit = scan(("the cat " * 40)[:-1] + "#" * 5)
    assert hit is not None
    assert (hit.at_char, hit.copies) == (0, 39)


def test_a_cycle_begins_with_the_copies_before_it_that_are_not_exact() -> None:
    before = "".join(random.Random(3).choices("abcdefghijklmnopqrstuvwxyz ", k=500)) + "\n"
    sentence = "Now the quiet worker reads page {} of the long ledger and finds that not one number in it has changed. "
    inexact = "".join(sentence.format(name) for name in ("one", "two", "ten", "six", "four", "five"))
    guard = Guard()
    hit = guard.feed(before + inexact + sentence.format("nine") * 5)
    assert hit is not None
    assert hit.kind is GuardKind.CYCLE
    assert hit.period_chars == len(sentence.format("nine"))
    assert abs(hit.at_char - len(before)) <= 128
    assert hit.copies == (guard.read - hit.at_char) // hit.period_chars


def test_what_the_engine_ended_after_a_loop_is_told_by_the_loop() -> None:
    hit = engine_hit("Intro. " + "The same line again.\n" * 40 + "And out.")
    assert hit == GuardHit(kind=GuardKind.ENGINE, at_char=7, copies=40, period_chars=21)


def test_inexact_copies_before_a_cycle_belong_to_it() -> None:
    rounds = "".join(
        f"Now the quiet worker reads page {number % 7} of the ledger again and again. " for number in range(40)
    )
    text = (
        "Once upon a time there was another story. "
        + rounds
        + "Now the quiet worker reads the ledger again and again. " * 5
    )
    hit = scan(text)
    assert hit is not None
    assert hit.at_char < len(text) // 3


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("Well, aa", (6, 2, 1)),
        ("x" * 3 + "abcab", (8, 1, 0)),
        ("Well, " + "abcd" * 2, (6, 2, 4)),
        ("Well, " + "abcde" * 3 + "", (6, 3, 5)),
        ("", (0, 1, 0)),
        ("ab", (2, 1, 0)),
        ("aa", (0, 2, 1)),
    ],
)
def test_the_tail_that_the_engine_ended_is_told_by_its_shortest_period(text: str, hit: tuple[int, int, int]) -> None:
    found = engine_hit(text)
    assert (found.at_char, found.copies, found.period_chars) == hit
    assert found.kind is GuardKind.ENGINE


def fed(text: str) -> GuardHit | None:
    net, hit = Templates(), None
    for at in range(0, len(text), 16):
        hit = hit or net.feed(text[at : at + 16])
    return hit


ITEM = "The reader should follow the method.\n"


def test_a_template_begins_where_its_first_line_does_after_long_lines_too() -> None:
    long = "word " * (LINE_CHARS // 2) + "\n"
    for before in ("", "One line.\n", long, long + "Another.\n"):
        hit = fed(before + ITEM * PROSE_COPIES)
        assert hit is not None
        assert (hit.at_char, hit.copies, hit.period_chars) == (len(before), PROSE_COPIES, len(ITEM))
        assert isinstance(hit.period_chars, int)


def test_a_block_of_eight_lines_is_a_template_and_one_of_nine_is_none() -> None:
    names = ["apples", "pears", "plums", "figs", "dates", "limes", "quinces", "melons", "grapes"]
    for count, found in ((8, True), (9, False)):
        block = "".join(f"The farmer brings the {name} home.\n" for name in names[:count])
        assert (fed(block * (PROSE_COPIES + 1)) is not None) is found


@pytest.mark.parametrize(
    ("numbers", "found"),
    [(range(40, 0, -1), False), ([5] * 40, True), ([*range(40)], True), ([9, 9, 8, 8] * 10, True)],
)
def test_only_a_count_that_falls_from_line_to_line_ends_by_itself(numbers: Iterable[int], found: bool) -> None:
    assert (fed("".join(f"{number} bottles stand on the wall.\n" for number in numbers)) is not None) is found


@pytest.mark.parametrize(
    ("line", "copies"),
    [
        ("the cat sat", PROSE_COPIES),
        ("Attempt of the worker:", PROSE_COPIES),
        ("if the worker waits:", CODE_COPIES),
        ("for the worker here:", CODE_COPIES),
        ("else the worker here:", CODE_COPIES),
        ("the worker = one two:", CODE_COPIES),
        ("the worker waits here::", CODE_COPIES),
        ("abc defgh ijklm .!?.!?.", PROSE_COPIES),  # 13 letters among 20 characters are just enough
        ("abc defgh ijkl ..!?.!?.", CODE_COPIES),
    ],
)
def test_sentences_may_be_fewer_than_lines_of_code(line: str, copies: int) -> None:
    assert fed(f"{line}\n" * copies) is not None
    assert fed(f"{line}\n" * (copies - 1)) is None


@pytest.mark.parametrize(("line", "is_hit"), [("12 abc defgh", True), ("123 abc defg", False)])
def test_a_line_whose_characters_are_digits_to_three_tenths_is_data(line: str, is_hit: bool) -> None:
    assert fed(f"{line} word word\n" * CODE_COPIES) is not None
    assert (fed(f"{line}\n" * CODE_COPIES) is not None) is is_hit


@pytest.mark.parametrize(("length", "is_hit"), [(LINE_CHARS, True), (LINE_CHARS + 1, False)])
def test_a_line_may_be_so_long_and_no_longer(length: int, is_hit: bool) -> None:
    line, net = "word " * (LINE_CHARS // 5 - 1), Templates()
    line += "x" * (length - len(line))
    hits = [hit for _ in range(PROSE_COPIES) for hit in (net.feed(line), net.feed("\n"))]
    assert any(hits) is is_hit


UNEVEN = [n * n % 101 for n in range(29)]


@pytest.mark.parametrize(
    ("numbers", "is_hit"),
    [
        ([*UNEVEN, 6, 5, 4], False),
        ([*UNEVEN, 6, 5, 5], True),
        ([*UNEVEN, 6, 6, 5], True),
        ([*UNEVEN[1:], 2, 3, 9, 5], True),
    ],
)
def test_a_count_falls_where_its_last_three_numbers_do(numbers: list[int], is_hit: bool) -> None:
    assert (fed("".join(f"{number} bottles stand on the wall.\n" for number in numbers)) is not None) is is_hit
