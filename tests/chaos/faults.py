"""The registry of faults. Each is a generator: it strikes and yields how many acts that were, and after its time it
heals and may yield the acts that came meanwhile.

Knows the contestant's processes and links; knows nothing of jobs or of what is expected.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.contestant import Contestant
from tests.chaos.redraft import LEASE_SECONDS
from tests.chaos.workload import Riddle

Strike = Callable[[Contestant, random.Random], Iterator[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`made` strikes and heals; it lasts between `shortest` and `longest` seconds. `early`: it is there before the
    jobs are; `ours`: it hits a part that plain Celery doesn't have; `riddles` are the jobs it needs."""

    name: str
    made: Strike
    shortest: float
    longest: float
    early: bool
    ours: bool
    riddles: tuple[Riddle, ...]

    def seconds(self, chance: random.Random) -> float:
        """How long it lasts this time."""
        return chance.uniform(self.shortest, self.longest)


FAULTS: dict[str, Fault] = {}


def fault(
    lasts: tuple[float, float], *, early: bool = False, ours: bool = False, riddles: Sequence[Riddle] = ()
) -> Callable[[Strike], Strike]:
    """Puts a generator into the registry under its name."""

    def register(made: Strike) -> Strike:
        name = made.__name__.replace("_", " ")
        FAULTS[name] = Fault(
            name=name,
            made=made,
            shortest=lasts[0],
            longest=lasts[1],
            early=early,
            ours=ours,
            riddles=tuple(riddles),
        )
        return made

    return register


@fault((0, 0))
def nothing(of: Contestant, chance: random.Random) -> Iterator[int]:
    """The control: how long the same measurement takes when nothing is done."""
    yield 0


@fault((0, 2))
def worker_killed(of: Contestant, chance: random.Random) -> Iterator[int]:
    """kill -9 of one worker, which is started again at once or a little later."""
    worker = chance.choice(of.workers)
    worker.kill()
    yield 1
    worker.start()


@fault((0, 2), ours=True)
def relay_killed(of: Contestant, chance: random.Random) -> Iterator[int]:
    """kill -9 of the relay."""
    relay = chance.choice(of.relays)
    relay.kill()
    yield 1
    relay.start()


@fault((0, 1))
def valkey_flushed(of: Contestant, chance: random.Random) -> Iterator[int]:
    """FLUSHALL: every message and every unacknowledged one is gone."""
    import redis

    with redis.Redis.from_url(of.services.valkey.url) as client:
        client.flushall()
    yield 1


@fault((2, 6))
def postgres_restarted_every_few_seconds(of: Contestant, chance: random.Random) -> Iterator[int]:
    """A fast shutdown that ends every session, and a start; then once more at the end."""
    of.services.postgres.stop()
    of.services.postgres.start()
    yield 1
    of.services.postgres.stop()
    of.services.postgres.start()
    yield 1


@fault((LEASE_SECONDS * 1.3, LEASE_SECONDS * 2))
def worker_stopped_past_its_lease(of: Contestant, chance: random.Random) -> Iterator[int]:
    """SIGSTOP of a worker for longer than a lease, then SIGCONT: it wakes up in the past."""
    import signal

    worker = chance.choice(of.workers)
    worker.send(signal.SIGSTOP)
    yield 1
    worker.send(signal.SIGCONT)
