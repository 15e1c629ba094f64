"""What both banks share: the text of a lesson that is embedded, and the order of the matches. Pure."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence

from tasks.types import Experience, Lesson, Match, Record

# Each search fetches this many times more than it returns, so that fusion has something to fuse.
DEPTH = 4
# Added to the score of the newest match; the oldest gets nothing. Reciprocal rank fusion scores a match that is first
# in both rankings 1 and one that is second in both a third lower: recency decides between near equals only.
RECENCY = 0.05
# Added to the score of a lesson that always helped, and taken from one that never did, the more the more jobs recalled
# it: at most as much as one place in both rankings.
WORTH = 0.33
# A lesson that helped a smaller share of the jobs that recalled it is not recalled again: none of four, or one of nine.
LEAST_WORTH = 0.2
# Jobs of a family that recall lessons before it is asked whether that helps.
TRIED = 8
# Similarities that agree to this many digits count as equal.
SAME_DIGITS = 4


def worth(record: Record) -> float:
    """The share of jobs that a lesson helps, in (0, 1): by Laplace's rule of succession, one half where no job has
    recalled it."""
    return (record.helped + 1) / (record.helped + record.hurt + 2)


def most_helpful(matches: Sequence[Match], records: Mapping[int, Record]) -> Match | None:
    """The match with the best score once what became of the jobs that recalled it is added, the first of equals; None
    where none is left that is worth recalling."""
    unknown = Record(helped=0, hurt=0)
    worths = {match.lesson.id: worth(records.get(match.lesson.id, unknown)) for match in matches}
    useful = [match for match in matches if worths[match.lesson.id] >= LEAST_WORTH]
    return max(useful, key=lambda match: match.score + WORTH * (2 * worths[match.lesson.id] - 1), default=None)


def is_worth_recalling(experience: Experience, chance: random.Random) -> bool:
    """Whether a job of a family is to recall lessons: by Thompson sampling between its jobs that recalled some and
    those that recalled none (W. R. Thompson, Biometrika 25, 1933), so that a memory that hurts is soon asked seldom,
    and one that helps is left out seldom. The first `TRIED` jobs always recall."""
    taught, without = experience.taught, experience.without
    if taught.solved + taught.failed < TRIED:
        return True
    helps = chance.betavariate(1 + taught.solved, 1 + taught.failed)
    return helps >= chance.betavariate(1 + without.solved, 1 + without.failed)


def lesson_text(lesson: Lesson) -> str:
    """The text by which a lesson is found. Its evidence is left out, since it reads alike in every job."""
    return "\n".join(part for part in (lesson.situation, lesson.advice, lesson.avoid) if part)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine similarity of two vectors of length 1."""
    return sum(a * b for a, b in zip(one, other, strict=True))


def newest_first_among_equals(matches: Sequence[Match], limit: int) -> tuple[Match, ...]:
    """The best `limit` matches by score, to which a small bonus for newer ones is added. A lesson's id grows with time.

    Ranks differ even between equally similar matches, in an arbitrary order, so these all get the best of their scores.
    """
    shared: dict[float, float] = {}
    for match in matches:
        similarity = round(match.similarity, SAME_DIGITS)
        shared[similarity] = max(match.score, shared.get(similarity, 0.0))
    ages = {match.lesson.id: age for age, match in enumerate(sorted(matches, key=lambda m: -m.lesson.id))}

    def nudged(match: Match) -> float:
        return shared[round(match.similarity, SAME_DIGITS)] + RECENCY * (1 - ages[match.lesson.id] / len(matches))

    scored = [dataclasses.replace(match, score=nudged(match)) for match in matches]
    return tuple(sorted(scored, key=lambda match: match.score, reverse=True)[:limit])
