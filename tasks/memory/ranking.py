"""What both banks have in common: the text of a lesson that is embedded, and the order of what was found. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.types import Lesson, Match

# Each search looks deeper than it returns, so that fusion has something to fuse.
DEPTH = 4
# The newest match gains this much and the oldest nothing. Reciprocal rank fusion gives 1 to what is first in both
# rankings and a third to what is second in both: recency decides between near equals only.
RECENCY = 0.05
# Similarities are told apart to this many digits.
SAME_DIGITS = 4


def lesson_text(lesson: Lesson) -> str:
    """What a lesson is found by. Its evidence is left out: every job's reads alike."""
    return "\n".join(part for part in (lesson.situation, lesson.advice, lesson.avoid) if part)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Of vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def newest_first_among_equals(matches: Sequence[Match], limit: int) -> tuple[Match, ...]:
    """The best `limit` matches, ordered by score with recency as a nudge. Lessons are numbered in their order.

    Ranks tell apart even what is equal, in no order of meaning: what is as similar shares the best of its scores.
    """
    shared: dict[float, float] = {}
    for match in matches:
        same = round(match.similarity, SAME_DIGITS)
        shared[same] = max(match.score, shared.get(same, 0.0))
    ages = {match.lesson.id: age for age, match in enumerate(sorted(matches, key=lambda m: -m.lesson.id))}

    def nudged(match: Match) -> float:
        return shared[round(match.similarity, SAME_DIGITS)] + RECENCY * (1 - ages[match.lesson.id] / len(matches))

    return tuple(sorted(matches, key=nudged, reverse=True)[:limit])
