"""Faults of the engines."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.chaos.contestant import Contestant
from tests.chaos.faults.registry import fault
from tests.chaos.fleet import Part, mood
from tests.standin.engine import Mood


@fault((6, 9))
def engine_hung(of: Contestant, chance: random.Random) -> Iterator[int]:
    """One engine takes requests and says nothing, for longer than a silence is allowed to be."""
    yield from _moody(chance.choice(of.services.engines), Mood.HUNG)


@fault((4, 8))
def engine_ten_times_slower(of: Contestant, chance: random.Random) -> Iterator[int]:
    """All engines."""
    for engine in of.services.engines:
        mood(engine, Mood.SLOW)
    yield len(of.services.engines)
    for engine in of.services.engines:
        mood(engine, Mood.WELL)


@fault((2, 5))
def one_broken_worker_beside_a_healthy_one(of: Contestant, chance: random.Random) -> Iterator[int]:
    """One engine answers 500 to every prompt, and says that it is well when it is asked."""
    yield from _moody(chance.choice(of.services.engines), Mood.REFUSING)


@fault((1, 3))
def engines_answer_500(of: Contestant, chance: random.Random) -> Iterator[int]:
    """All engines."""
    for engine in of.services.engines:
        mood(engine, Mood.REFUSING)
    yield len(of.services.engines)
    for engine in of.services.engines:
        mood(engine, Mood.WELL)


@fault((1, 4))
def engine_answers_garbage(of: Contestant, chance: random.Random) -> Iterator[int]:
    """Bytes in the stream that are no events."""
    yield from _moody(chance.choice(of.services.engines), Mood.GARBAGE)


@fault((1, 4))
def engine_breaks_off(of: Contestant, chance: random.Random) -> Iterator[int]:
    """Every answer ends after three words, without an end."""
    yield from _moody(chance.choice(of.services.engines), Mood.BREAKING)


@fault((0, 4))
def engine_killed(of: Contestant, chance: random.Random) -> Iterator[int]:
    """kill -9 of an engine in the middle of its answers."""
    engine = chance.choice(of.services.engines)
    engine.kill()
    yield 1
    engine.start()


def _moody(engine: Part, how: Mood) -> Iterator[int]:
    mood(engine, how)
    yield 1
    mood(engine, Mood.WELL)
