"""The second net: repetition that is not exact, where it begins, and what is data."""

from __future__ import annotations

import random

from tasks.llm.compression import EVERY_CHARS, WINDOWS, compressible_tail, onset, stretch_end
from tasks.llm.guard import scan
from tasks.types import GuardKind
from tests.corpus import words

SENTENCES = (
    "The quiet bridge follows a lamp. ",
    "Nobody counts the early feather. ",
    "Ana repairs that steep window. ",
)


def _shuffled(chars: int) -> str:
    """Three sentences in ever another order, so that no cycle is exact."""
    rng, text = random.Random(3), ""
    while len(text) < chars:
        text += "".join(rng.sample(SENTENCES, 3))
    return text[:chars]


def test_sentences_in_ever_another_order_are_a_loop_that_begins_before_its_first_copy() -> None:
    before = words.prose(random.Random(1), 3_000) + "\n\n"
    hit = scan(before + _shuffled(7_000))
    assert hit is not None
    assert hit.kind is GuardKind.NOVELTY
    assert abs(hit.at_char - len(before)) <= len(SENTENCES) * max(map(len, SENTENCES))
    # Most gaps are a round of all three sentences; the whole stretch is counted, not what was seen at the hit.
    assert hit.copies * hit.period_chars >= 6_000


def test_less_than_a_window_is_never_judged() -> None:
    assert compressible_tail(_shuffled(WINDOWS[0][0] - 1), EVERY_CHARS) is None


def test_prose_is_not_compressible_enough() -> None:
    text = words.prose(random.Random(2), 9_000)
    assert all(compressible_tail(text[:end], end) is None for end in range(EVERY_CHARS, len(text), EVERY_CHARS))


def test_a_window_of_figures_is_data_however_small_it_packs() -> None:
    rng = random.Random(4)
    figures = "".join(rng.choice(("0, ", "0, 0, ", "1, ")) for _ in range(4_000))[: 4 * WINDOWS[0][0]]
    assert compressible_tail(figures, len(figures) // EVERY_CHARS * EVERY_CHARS) is None


def test_the_beginning_is_searched_backwards_through_copies_that_are_not_exact() -> None:
    before = words.prose(random.Random(5), 2_000) + "\n\n"
    text = before + _shuffled(6_000)
    assert abs(onset(text, len(text) - 2_000) - len(before)) <= 2 * max(map(len, SENTENCES))


def test_the_stretch_ends_where_other_text_begins() -> None:
    loop, after = _shuffled(5_000), words.prose(random.Random(6), 3_000)
    assert abs(stretch_end(loop + after, 0, 2_000) - len(loop)) <= 128
