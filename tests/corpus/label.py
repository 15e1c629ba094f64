"""What is a loop in a text that is all there: an offline definition that shares nothing with the guard.

Words are counted, not characters: a text loops where its tail consists of phrases of `PHRASE` words that the text has
at least `COPIES` times. The guard sees a stream and must decide early; this sees the end first.
"""

from __future__ import annotations

import collections
import re
import statistics
from dataclasses import dataclass
from enum import StrEnum

PHRASE = 8
COPIES = 3
# This part of the tail's phrases must come again; the rest is noise.
REPEATED = 0.9
# A tail is a loop where it is this part of the text, and at least so many words long.
SHARE = 0.4
LEAST_WORDS = 64
# Below this, the text is called ordinary; between the two nobody can say.
ORDINARY_SHARE = 0.2

_WORD = re.compile(r"[\u3040-\u9fff]|\w{1,20}|[^\w\s]")
_DIGITS = re.compile(r"\d+")


class Label(StrEnum):
    """What a collected text is."""

    LOOP = "loop"  # it repeats itself until the limit of tokens cut it off
    COUNTING = "counting"  # so it does apart from its numbers: a loop, or a long list
    ENDED = "ended"  # it repeated itself, and came to an end by itself
    UNCLEAR = "unclear"
    ORDINARY = "ordinary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The repeating end of a text: where it begins, how long a copy is (characters), and its share of the text."""

    onset: int
    period: int
    share: float
    words: int


def label(text: str, *, cut_off: bool) -> tuple[Label, Tail]:
    """What the text is, and its repeating tail. `cut_off` says that the limit of tokens ended it."""
    tail = repeating_tail(text)
    if _is_loop(tail):
        return (Label.LOOP if cut_off else Label.ENDED), tail
    masked = repeating_tail(_DIGITS.sub(lambda found: "0" * len(found[0]), text))
    if _is_loop(masked):
        return (Label.COUNTING if cut_off else Label.ENDED), masked
    return (Label.ORDINARY if masked.share < ORDINARY_SHARE else Label.UNCLEAR), tail


def repeating_tail(text: str) -> Tail:
    """The longest tail of which `REPEATED` of the phrases occur `COPIES` times in the text."""
    found = list(_WORD.finditer(text))
    phrases = [tuple(word[0] for word in found[at : at + PHRASE]) for at in range(len(found) - PHRASE + 1)]
    counts = collections.Counter(phrases)
    begin, repeated = len(phrases), 0
    for at in range(len(phrases) - 1, -1, -1):
        if counts[phrases[at]] >= COPIES:
            repeated += 1
            if repeated >= REPEATED * (len(phrases) - at):
                begin = at
    if begin == len(phrases):
        return Tail(onset=len(text), period=1, share=0.0, words=0)
    last = dict[tuple[str, ...], int]()
    gaps = list[int]()
    for at in range(begin, len(phrases)):
        if phrases[at] in last:
            gaps.append(found[at].start() - last[phrases[at]])
        last[phrases[at]] = found[at].start()
    onset = found[begin].start()
    return Tail(
        onset=onset,
        period=max(1, int(statistics.median(gaps))) if gaps else len(text) - onset,
        share=(len(text) - onset) / len(text),
        words=len(found) - begin,
    )


def _is_loop(tail: Tail) -> bool:
    return tail.share >= SHARE and tail.words >= LEAST_WORDS
