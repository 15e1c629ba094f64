"""The first net: the text's tail is a cycle of exact copies, of whatever period.

At least `COPIES` copies over at least `COVERED_CHARS`. A run of one character must be longer, since rulers and indents
are ordinary. So must copies without a word, since the rules of Markdown tables are ordinary too, and longer still where
they have commas or line ends, as lists of literals and grids do. But a grid repeats few different things: copies with
many numbers and letters (a spelt alphabet, a row of products) are no grid. The numbers were tuned on one half of the
corpus (`make bench-guard`).
"""

from __future__ import annotations

from tasks.llm.wording import different_runs, has_word, pieces
from tasks.types import GuardHit, GuardKind

COPIES = 3
# 48 tokens of four characters.
COVERED_CHARS = 200
RUN_CHARS = 400
# Zero bytes in base64, of which a token holds sixteen.
BASE64_RUN_CHARS = 3_200
# A grid of 20 by 20 `False` is 2,900 characters of ordinary Python, a table of 256 wrapped ones 2,000. One of 20 by 20
# `'.'` is 1,500 pieces, which is what a model spends on it.
GRID_CHARS = 3_000
# With a bracket and a line end in each copy it is a matrix, of up to 40 by 40 zeros.
MATRIX_CHARS = 5_000
GRID_PIECES = 1_600
# Copies with so many different numbers and words of letters are no grid. Ordinary ones cover 340 characters at most.
VARIED = 6
VARIED_CHARS = 400
# A model that spells numbers digit by digit needs 1,200 tokens for 1,200 characters of `.12.12.12`.
WORDLESS_CHARS = 800
PERIOD_CHARS = 2_000
PROBE_CHARS = 32
# Bounds the work per call where a probe occurs very often (rows of zeros); later calls have a rarer probe.
CANDIDATES = 256


def tail_cycle(text: str) -> GuardHit | None:
    """The cycle that ends with `text`. Every earlier occurrence of the last characters gives a possible period."""
    end = len(text)
    if end < COVERED_CHARS:
        return None
    probe = text[-PROBE_CHARS:]
    lowest = max(0, end - PROBE_CHARS - PERIOD_CHARS)
    position = end - PROBE_CHARS
    for _ in range(CANDIDATES):
        position = text.rfind(probe, lowest, position + PROBE_CHARS - 1)
        if position < 0:
            return None
        period = end - PROBE_CHARS - position
        if COPIES * period > end:
            return None
        if text[-2 * period :] != text[-3 * period : -period]:
            continue
        covered = covered_chars(text, period)
        if covered >= _least(text[-period:], covered):
            return GuardHit(kind=GuardKind.CYCLE, at_char=end - covered, copies=covered // period, period_chars=period)
        # The stretch ends where this period breaks, and no longer period that fits into it reaches past that position:
        # go on with periods that don't fit. Else rows of zeros would be compared at every multiple of their period.
        position = min(position, end - PROBE_CHARS - covered + period)
    return None


def covered_chars(text: str, period: int) -> int:
    """How many characters at the end of `text` repeat with this period, the last period itself included.

    Doubles and then halves the step instead of going character by character.
    """
    end, equal = len(text), 0
    step = 1
    while equal + step <= end - period and _same(text, equal, step, period):
        equal += step
        step *= 2
    while step:
        if equal + step <= end - period and _same(text, equal, step, period):
            equal += step
        step //= 2
    return equal + period


def _same(text: str, equal: int, step: int, period: int) -> bool:
    """Whether the `step` characters before the last `equal` ones are those a period earlier."""
    upto = len(text) - equal
    return text[upto - step : upto] == text[upto - step - period : upto - period]


def _least(unit: str, covered: int) -> int:
    """How many characters the copies of `unit` must cover."""
    if unit.count(unit[0]) == len(unit):
        return (BASE64_RUN_CHARS if unit[0] == "A" else RUN_CHARS) + 1
    if covered < COVERED_CHARS or has_word(unit):
        return COVERED_CHARS
    if covered < VARIED_CHARS or different_runs(unit) >= VARIED:
        return VARIED_CHARS
    if "\n" in unit and "]" in unit:
        return MATRIX_CHARS
    return _least_of_list(unit, covered) if "," in unit or "\n" in unit else WORDLESS_CHARS


def _least_of_list(unit: str, covered: int) -> int:
    if covered < GRID_PIECES:  # a piece is a character at least
        return GRID_CHARS
    return min(GRID_CHARS, GRID_PIECES * len(unit) // max(1, pieces(unit)))
