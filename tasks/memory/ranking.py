"""What both banks share: the text of a lesson that is embedded, and the order of the matches. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.types import Lesson, Match

# Each search fetches this many times more than it returns, so that fusion has something to fuse.
DEPTH = 4
# Added to the score of the newest match; the oldest gets nothing. Reciprocal rank fusion scores a match that is first
# in both rankings 1 and one that is second in both a third lower: recency decides between near equals only.
RECENCY = 0.05
# Similarities that agree to this many digits count as equal.
SAME_DIGITS = 4


def lesson_text(lesson: Lesson) -> str:
    """The text by which a lesson is found. Its evidence is left out, since it reads alike in every job."""
    return "\n".join(part for part in (lesson.situation, lesson.advice, lesson.avoid) if part)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine similarity of two vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def newest_first_among_equals(matches: Sequence[Match], limit: int) -> tuple[Match, ...]:
    """The best `limit` matches by score, with a small bonus for newer ones. A lesson's id grows with time.

    Ranks differ even between equally similar matches, in an arbitrary order, so these all get the best of their scores.
    """
    shared: dict[float, float] = {}
    for match in matches:
        similarity = round(match.similarity, SAME_DIGITS)
        shared[similarity] = max(match.score, shared.get(similarity, 0.0))
    ages = {match.lesson.id: age for age, match in enumerate(sorted(matches, key=lambda m: -m.lesson.id))}

    def nudged(match: Match) -> float:
        return shared[round(match.similarity, SAME_DIGITS)] + RECENCY * (1 - ages[match.lesson.id] / len(matches))

    return tuple(sorted(matches, key=nudged, reverse=True)[:limit])
