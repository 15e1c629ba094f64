"""`make bench-memory`: what choosing among lessons is worth where they help, and where they hurt.

The choice is the real one; everything else is simulated. Jobs of ten kinds of problem come one after another. A job is
solved with its own chance, drawn from the Beta distribution of HumanEval at 1.5B, to which the lesson that it recalls
adds or from which it takes; three in ten leave a lesson. Lessons of one kind of problem fit it alike well but for
chance. All ways of choosing meet the same jobs. Needs no engine.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Sequence
from enum import StrEnum

from chances import HUMANEVAL
from figures import table

from tasks.lesson_service import CONSIDERED
from tasks.memory.ranking import RECENCY, is_worth_recalling, most_helpful
from tasks.thompson import Counts
from tasks.types import Experience, Lesson, LessonKind, Match, Record

JOBS, KINDS = 300, 10
FIRST_LESSONS = 3  # of each kind of problem, before the first job
LEAVES_ONE = 0.3
# What a lesson adds to a job's chance is one of these.
SETS = {"it helps": (0.25, 0.25, 0.0), "some help, some hurt": (0.25, 0.0, -0.25), "it hurts": (-0.25, -0.25, 0.0)}


class Choice(StrEnum):
    """How a job's lesson is chosen."""

    OFF = "no memory"
    FIT = "the one that fits best"
    RECORDS = "by helped and hurt, too"
    SAMPLED = "and whether lessons help"


def solved(effects: Sequence[float], choice: Choice, seed: int) -> float:
    """The share of jobs that are solved."""
    night = _Night(effects, choice, seed)
    for number in range(JOBS):
        chance = random.Random(f"{seed} {number}")  # noqa: S311 - the same jobs for every choice
        night.job(chance, HUMANEVAL.draw(chance))
    return (night.taught.solved + night.without.solved) / JOBS


class _Night:
    def __init__(self, effects: Sequence[float], choice: Choice, seed: int) -> None:
        self._effects, self._choice, self._chance = effects, choice, random.Random(seed)  # noqa: S311
        self._lessons: list[tuple[int, float]] = []  # the kind of problem, and what the lesson adds
        self._records: dict[int, Record] = {}
        self.taught, self.without = Counts(), Counts()
        for kind in range(KINDS):
            for _ in range(FIRST_LESSONS):
                self._learn(kind)

    def job(self, chance: random.Random, alone: float) -> None:
        """One job that is solved with the chance `alone` where it recalls nothing."""
        kind, luck, leaves = chance.randrange(KINDS), chance.random(), chance.random() < LEAVES_ONE
        lesson = self._recall(kind, chance)
        success = luck < alone + (0.0 if lesson is None else self._lessons[lesson][1])
        if lesson is None:
            self.without = _counted(self.without, success)
        else:
            self.taught = _counted(self.taught, success)
            known = self._records.get(lesson, Record(helped=0, hurt=0))
            self._records[lesson] = Record(helped=known.helped + success, hurt=known.hurt + (not success))
        if leaves:
            self._learn(kind)

    def _learn(self, kind: int) -> None:
        self._lessons.append((kind, self._chance.choice(self._effects)))

    def _recall(self, kind: int, chance: random.Random) -> int | None:
        if self._choice is Choice.OFF:
            return None
        numbers = [number for number, (of, _) in enumerate(self._lessons) if of == kind]
        chance.shuffle(numbers)
        matches = [_match(number, place, len(self._lessons)) for place, number in enumerate(numbers[:CONSIDERED])]
        best = most_helpful(matches, {} if self._choice is Choice.FIT else self._records)
        experience = Experience(taught=self.taught, without=self.without)
        if best is None or (self._choice is Choice.SAMPLED and not is_worth_recalling(experience, chance)):
            return None
        return best.lesson.id


def _match(number: int, place: int, lessons: int) -> Match:
    """A lesson at this place of both rankings, fused as Qdrant does it."""
    lesson = Lesson(
        id=number, job=0, owner="", family="", kind=LessonKind.SUCCESS, situation="", advice="", avoid="", evidence=""
    )
    return Match(lesson=lesson, similarity=0.6, score=2 / (place + 2) + RECENCY * number / lessons)


def _counted(counts: Counts, success: bool) -> Counts:
    return Counts(solved=counts.solved + success, failed=counts.failed + (not success))


def main(arguments: list[str] | None = None) -> None:
    """A row for each kind of memory, with the mean of the seeds, and the standard error of its difference to none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args(arguments)
    rows = []
    for name, effects in SETS.items():
        nights = {choice: [solved(effects, choice, seed) for seed in range(given.seeds)] for choice in Choice}
        cells = []
        for shares in nights.values():
            gains = [100 * (share - off) for share, off in zip(shares, nights[Choice.OFF], strict=True)]
            error = statistics.stdev(gains) / len(gains) ** 0.5
            cells.append(f"{statistics.fmean(shares):.1%} ({statistics.fmean(gains):+.1f} ± {error:.1f})")
        rows.append((name, *cells))
    print(table(("the memory", *Choice), rows))


if __name__ == "__main__":
    main()
