"""Faults of our own processes: workers, relays, the memory."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator

from tests.chaos.contestant import Contestant
from tests.chaos.faults.registry import fault
from tests.chaos.fleet import Part
from tests.chaos.workload import TEACHING


@fault((0, 2))
def worker_killed(of: Contestant, chance: random.Random) -> Iterator[int]:
    """kill -9 of a worker that holds work; started again at once or a little later."""
    worker = chance.choice(of.busy())
    worker.kill()
    yield 1
    worker.start()


@fault((0, 2))
def every_worker_killed(of: Contestant, chance: random.Random) -> Iterator[int]:
    """kill -9 of all workers at once."""
    for worker in of.workers:
        worker.kill()
    yield len(of.workers)
    for worker in of.workers:
        worker.start()


@fault((1.3, 2), leases=True)
def worker_stopped_past_its_lease(of: Contestant, chance: random.Random) -> Iterator[int]:
    """SIGSTOP of a worker for longer than a lease, then SIGCONT: it wakes up in the past."""
    worker = chance.choice(of.busy())
    worker.send(signal.SIGSTOP)
    yield 1
    worker.send(signal.SIGCONT)


@fault((0, 2), ours=True)
def relay_killed(of: Contestant, chance: random.Random) -> Iterator[int]:
    """kill -9 of the relay."""
    yield from _killed(chance.choice(of.relays))


@fault((1, 4), ours=True)
def two_relays_and_two_reapers(of: Contestant, chance: random.Random) -> Iterator[int]:
    """A second relay beside the first, and a worker killed while both reap."""
    of.relays.append(of.another_relay())
    of.relays[-1].start()
    worker = chance.choice(of.busy())
    worker.kill()
    yield 2
    worker.start()
    of.relays.pop().kill()


@fault((0, 3), ours=True, riddles=TEACHING)
def memory_killed(of: Contestant, chance: random.Random) -> Iterator[int]:
    """kill -9 of the memory while jobs leave lessons."""
    assert of.memory is not None
    yield from _killed(of.memory)


@fault((3, 8), ours=True, early=True, riddles=TEACHING)
def memory_down_and_its_folder_deleted(of: Contestant, chance: random.Random) -> Iterator[int]:
    """The index is away from before the jobs begin, and empty when it comes back; it is made anew from Postgres."""
    assert of.memory is not None
    of.memory.kill()
    of.lose_memory()
    yield 2
    of.memory.start()
    yield 0
    of.rebuild_memory()


def _killed(part: Part) -> Iterator[int]:
    part.kill()
    yield 1
    part.start()
