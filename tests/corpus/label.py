"""What a text that is all there repeats: an offline definition that shares nothing with the guard.

The guard sees a stream, must decide early and at a bounded cost. This sees the end first and tries everything: a text
is cut into pieces about as long as tokens, and for every period up to a third of it every stretch is looked for that
equals itself one period earlier, but for a tenth of its pieces. What repeats itself without a period (sentences in ever
another order) is found by counting phrases.
"""

from __future__ import annotations

import collections
import itertools
import operator
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

COPIES = 3
# About as many tokens must copies cover at the end for a loop: one that the limit cut off sooner is a refrain so far.
LOOP_PIECES = 100
# As many must they cover anywhere for a text that repeated itself, and half as many make it not quite ordinary.
PASSING_PIECES = 48
# One piece of a stretch in so many may differ from the one a period earlier.
DIFFERENT = 10
# A text loops without a period where this part of its tail's phrases come at least `COPIES` times, and the tail is
# `TAIL_SHARE` of the text. Of an ordinary text less than `ORDINARY_SHARE` of all phrases do.
PHRASE = 12
REPEATED = 0.9
TAIL_SHARE = 0.4
ORDINARY_SHARE = 0.2

_PIECE = re.compile(r"[\u3040-\u9fff]|\d|[^\W\d]{1,4}|[^\w\s]")
_NUMBER = re.compile(r"\d+")


class Label(StrEnum):
    """What a collected text is."""

    LOOP = "loop"  # it repeats itself until the limit of tokens cuts it off
    COUNTING = "counting"  # so it does apart from its numbers: a loop, or a long list
    PASSING = "passing"  # it repeated itself for a while, and went on or came to an end by itself
    UNCLEAR = "unclear"
    ORDINARY = "ordinary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of a text that repeats itself: from `onset` to `end`, one copy `period` long, in characters.

    It `counts` where the last copy differs from the one before in a number.
    """

    onset: int
    end: int
    period: int
    counts: bool


def label(text: str, *, cut_off: bool) -> tuple[Label, Stretch | None]:
    """What the text is, and the stretch that makes it a loop. `cut_off` says that the limit of tokens ended it."""
    plain, masked = _Pieces(text), _Pieces(_NUMBER.sub(lambda number: "0".ljust(len(number[0])), text))
    if cut_off:
        exact, counting = plain.tail(), masked.tail()
        if exact is not None and not exact.counts:
            return Label.LOOP, exact
        if counting is not None:
            return Label.COUNTING, counting
    if plain.repeats(PASSING_PIECES):
        return Label.PASSING, None
    if masked.repeats(PASSING_PIECES // 2) or masked.share() >= ORDINARY_SHARE:
        return Label.UNCLEAR, None
    return Label.ORDINARY, None


class _Pieces:
    """The pieces of one text, with what repeats itself among them."""

    def __init__(self, text: str) -> None:
        found = list(_PIECE.finditer(text))
        self._text = text
        self._pieces = [piece[0] for piece in found]
        self._starts = [piece.start() for piece in found]
        self._phrases = [tuple(self._pieces[at : at + PHRASE]) for at in range(len(found) - PHRASE + 1)]
        self._counts = collections.Counter(self._phrases)

    def tail(self) -> Stretch | None:
        """The stretch that goes on to the end: the widest one with a period, else what the phrases show."""
        widest = None
        for begin, end, period in self._periodic(LOOP_PIECES):
            # Multiples of a period are as wide as it is: the shorter one comes first and stays.
            if end + period > len(self._pieces) and (widest is None or 10 * (end - begin) > 11 * (end - widest[0])):
                widest = (begin, end, period)
        if widest is None:
            return self._varying_tail()
        begin, _, period = widest
        last, before = self._pieces[-period:], self._pieces[-2 * period : -period]
        return Stretch(
            onset=self._starts[begin],
            end=len(self._text),
            period=self._characters(begin, period),
            counts=any(one != other and one.isdigit() for one, other in zip(last, before, strict=True)),
        )

    def repeats(self, least: int) -> bool:
        """Whether any stretch has enough copies, which cover `least` pieces."""
        return next(self._periodic(least), None) is not None

    def share(self) -> float:
        """Which part of all phrases comes at least `COPIES` times."""
        return sum(n for n in self._counts.values() if n >= COPIES) / max(1, len(self._phrases))

    def _periodic(self, least: int) -> Iterator[tuple[int, int, int]]:
        """Begin, end and period of every stretch, by period."""
        for period in range(1, len(self._pieces) // COPIES + 1):
            equal = bytes(map(operator.eq, self._pieces[period:], self._pieces))
            wanted = max((COPIES - 1) * period, least - period)
            if equal.count(1) >= wanted * (1 - 1 / DIFFERENT):
                for begin, end in _dense(equal):
                    if end - begin >= wanted:
                        yield begin, end + period, period

    def _varying_tail(self) -> Stretch | None:
        begin, repeated = len(self._phrases), 0
        for at in range(len(self._phrases) - 1, -1, -1):
            repeated += self._counts[self._phrases[at]] >= COPIES
            if repeated >= REPEATED * (len(self._phrases) - at):
                begin = at
        if len(self._pieces) - begin < max(LOOP_PIECES, TAIL_SHARE * len(self._pieces)):
            return None
        onset = self._starts[begin]
        last, gaps = dict[tuple[str, ...], int](), list[int]()
        for at, phrase in enumerate(self._phrases[begin:], begin):
            if phrase in last:
                gaps.append(self._starts[at] - last[phrase])
            last[phrase] = self._starts[at]
        period = max(1, int(statistics.median(gaps)))
        return Stretch(onset=onset, end=len(self._text), period=period, counts=False)

    def _characters(self, begin: int, period: int) -> int:
        """How long a copy is: the mean of the first copies."""
        copies = min(COPIES, (len(self._pieces) - 1 - begin) // period)
        return max(1, (self._starts[begin + copies * period] - self._starts[begin]) // copies)


def _dense(equal: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Stretches of `equal` of which all but one in `DIFFERENT` are 1, and which begin and end with it.

    One that is equal counts 1, one that differs `DIFFERENT - 1` against it; a stretch is over where nothing is left.
    """
    begin = best = score = best_score = at = 0
    for value, group in itertools.groupby(equal):
        count = sum(1 for _ in group)
        if value:
            begin = at if score == 0 else begin
            score += count
            if score > best_score:
                best_score, best = score, at + count
        else:
            score = max(0, score - count * (DIFFERENT - 1))
            if score == 0 and best_score:
                yield begin, best
                best_score = 0
        at += count
    if best_score:
        yield begin, best
