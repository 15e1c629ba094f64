"""How much two texts have in common. Pure; must not know what they are."""

from __future__ import annotations

import functools
from collections import Counter

PHRASE_WORDS = 3


def similarity(one: str, other: str) -> float:
    """The share of phrases of `PHRASE_WORDS` words that two texts have in common, counted as often as they occur
    (Dice's coefficient): 1.0 for equal words. White space and case are ignored."""
    left, right = _phrases(one), _phrases(other)
    return 2 * (left & right).total() / max(1, left.total() + right.total())


@functools.lru_cache(maxsize=128)  # a strategy compares some tens of texts with each other
def _phrases(text: str) -> Counter[tuple[str, ...]]:
    words = text.lower().split()
    return Counter(tuple(words[start : start + PHRASE_WORDS]) for start in range(max(1, len(words) - PHRASE_WORDS + 1)))
