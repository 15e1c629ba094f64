"""The fifth net: one paragraph whose sentences are equal but for their numbers.

Twelve copies whose numbers go up evenly are a loop; with any other numbers it takes as many as among lines, which are
found by `templates`. A count that falls ends by itself.
"""

from __future__ import annotations

import itertools
import re

from tasks.llm.cycles import tail_cycle
from tasks.llm.templates import INFORMING_COPIES
from tasks.llm.wording import has_word, reads_as_prose
from tasks.types import GuardHit, GuardKind

COPIES = 12
TAIL_CHARS = 3_000
INFORMING_TAIL_CHARS = 8_000
_DIGITS = re.compile(r"\d+")


def counting_tail(text: str) -> GuardHit | None:
    """The stretch of such copies that ends with `text`."""
    tail = text[-TAIL_CHARS:]
    masked = _DIGITS.sub("0", tail)
    cycle = tail_cycle(masked)
    if cycle is None or cycle.copies < COPIES:
        return None
    unit = masked[-cycle.period_chars :]
    if "\n" in unit or not has_word(unit.replace("0", " ")) or not reads_as_prose(unit):
        return None
    series = _series(tail, unit.count("0"))
    if not series or any(map(_falls, series)):
        return None
    if not all(map(_counts, series)):
        tail = text[-INFORMING_TAIL_CHARS:]
        masked = _DIGITS.sub("0", tail)
        cycle = tail_cycle(masked)
        if cycle is None or cycle.copies < INFORMING_COPIES:
            return None
    begin = _unmasked(tail, masked, cycle.at_char) + len(text) - len(tail)
    return GuardHit(
        kind=GuardKind.TEMPLATE,
        at_char=begin,
        copies=cycle.copies,
        period_chars=max(1, (len(text) - begin) // cycle.copies),
    )


def _series(tail: str, per_copy: int) -> list[list[int]]:
    """The numbers of the last copies, those at the same place in each together."""
    numbers = [int(number[:18]) for number in _DIGITS.findall(tail)]
    last = numbers[-(COPIES - 1) * per_copy :]
    return [last[at::per_copy] for at in range(per_copy)]


def _counts(series: list[int]) -> bool:
    """Whether the numbers are equal, or go up by one step."""
    steps = {after - before for before, after in itertools.pairwise(series)}
    return len(steps) == 1 and min(steps) >= 0


def _falls(series: list[int]) -> bool:
    return all(after < before for before, after in itertools.pairwise(series))


def _unmasked(tail: str, masked: str, position: int) -> int:
    """The position in `tail` of that in `masked`."""
    before = masked[:position].count("0")
    return position + sum(len(number) - 1 for number in _DIGITS.findall(tail)[:before])
