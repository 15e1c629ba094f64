"""The fifth net: one paragraph that counts for ever. Its copies are exact but for numbers, which go up evenly.

Those that are lines are found by `templates`.
"""

from __future__ import annotations

import itertools
import re

from tasks.llm.cycles import tail_cycle
from tasks.llm.wording import has_word, reads_as_prose
from tasks.types import GuardHit, GuardKind

COPIES = 12
TAIL_CHARS = 3_000
_DIGITS = re.compile(r"\d+")


def counting_tail(text: str) -> GuardHit | None:
    """The counting stretch that ends with `text`."""
    tail = text[-TAIL_CHARS:]
    masked = _DIGITS.sub("0", tail)
    cycle = tail_cycle(masked)
    if cycle is None or cycle.copies < COPIES:
        return None
    unit = masked[-cycle.period_chars :]
    if "\n" in unit or not has_word(unit.replace("0", " ")) or not reads_as_prose(unit):
        return None
    numbers = [int(number[:18]) for number in _DIGITS.findall(tail)]
    per_copy = unit.count("0")
    series = numbers[-(COPIES - 1) * per_copy :]
    if not per_copy or not all(_counts(series[at::per_copy]) for at in range(per_copy)):
        return None
    begin = _unmasked(tail, masked, cycle.at_char) + len(text) - len(tail)
    return GuardHit(
        kind=GuardKind.TEMPLATE,
        at_char=begin,
        copies=cycle.copies,
        period_chars=max(1, (len(text) - begin) // cycle.copies),
    )


def _counts(series: list[int]) -> bool:
    """Whether the numbers are equal, or go up by one step."""
    steps = {after - before for before, after in itertools.pairwise(series)}
    return len(steps) == 1 and min(steps) >= 0


def _unmasked(tail: str, masked: str, position: int) -> int:
    """The position in `tail` of that in `masked`."""
    before = masked[:position].count("0")
    return position + sum(len(number) - 1 for number in _DIGITS.findall(tail)[:before])
