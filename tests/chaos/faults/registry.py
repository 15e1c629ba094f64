"""The registry of faults. Each is a generator: it strikes and yields how many acts that were, and after its time it
heals and may yield the acts that came meanwhile.

Knows the contestant's processes and links; knows nothing of jobs or of what is expected.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.contestant import Contestant
from tests.chaos.workload import Riddle

Strike = Callable[[Contestant, random.Random], Iterator[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`made` strikes and heals; it lasts between `shortest` and `longest` seconds, or that many of the contestant's
    `leases`. `early`: it is there before the jobs are; `ours`: it hits a part that plain Celery doesn't have; `riddles`
    are the jobs it needs."""

    name: str
    made: Strike
    shortest: float
    longest: float
    leases: bool
    early: bool
    ours: bool
    riddles: tuple[Riddle, ...]

    def seconds(self, of: Contestant, chance: random.Random) -> float:
        """How long it lasts this time."""
        return chance.uniform(self.shortest, self.longest) * (of.lease_seconds if self.leases else 1)


FAULTS: dict[str, Fault] = {}


def fault(
    lasts: tuple[float, float] = (0.0, 0.0),
    *,
    leases: bool = False,
    early: bool = False,
    ours: bool = False,
    riddles: Sequence[Riddle] = (),
) -> Callable[[Strike], Strike]:
    """Puts a generator into the registry under its name."""

    def register(made: Strike) -> Strike:
        name = made.__name__.replace("_", " ")
        assert name not in FAULTS, name
        assert made.__doc__, f"{name} does not say what it does"
        FAULTS[name] = Fault(
            name=name,
            made=made,
            shortest=lasts[0],
            longest=lasts[1],
            leases=leases,
            early=early,
            ours=ours,
            riddles=tuple(riddles),
        )
        return made

    return register


@fault()
def nothing(of: Contestant, chance: random.Random) -> Iterator[int]:
    """The control: how long the same measurement takes when nothing is done."""
    yield 0
