"""Faults of Postgres, of the way to it, and of clocks that should not matter beside its own."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator

from tests.chaos.contestant import Contestant
from tests.chaos.faults.links import cut_off
from tests.chaos.faults.registry import fault
from tests.chaos.fleet import Part


@fault((0, 0))
def postgres_restarted_every_few_seconds(of: Contestant, chance: random.Random) -> Iterator[int]:
    """Three times a fast shutdown, which ends every session, and a start, some seconds apart."""
    for _ in range(3):
        of.services.postgres.stop()
        of.services.postgres.start()
        time.sleep(chance.uniform(1, 3))
    yield 3


@fault((0, 1))
def postgres_killed(of: Contestant, chance: random.Random) -> Iterator[int]:
    """kill -9 of the postmaster, and a start through recovery."""
    postgres = of.services.postgres
    assert postgres.pid is not None
    os.kill(postgres.pid, signal.SIGKILL)
    yield 1
    postgres.start()


@fault((2, 4))
def acknowledgement_of_a_commit_lost(of: Contestant, chance: random.Random) -> Iterator[int]:
    """COMMITs of the workers reach the database; the connection ends before its answer has passed."""
    links = [worker.links["postgres"] for worker in of.workers]
    before = sum(link.commits_lost for link in links)
    for link in links:
        link.lose_commits(chance.randint(1, 3))
    yield 0
    for link in links:
        link.lose_commits(0)
    yield sum(link.commits_lost for link in links) - before


@fault((1.3, 2), leases=True)
def worker_cut_off_from_postgres(of: Contestant, chance: random.Random) -> Iterator[int]:
    """One worker can't reach Postgres for longer than a lease; it reaches all else."""
    yield from cut_off(chance.choice(of.busy()), "postgres")


@fault((1.3, 2), leases=True)
def postgres_half_open_for_one_worker(of: Contestant, chance: random.Random) -> Iterator[int]:
    """One worker's connections to Postgres stay and nothing passes."""
    link = chance.choice(of.busy()).links["postgres"]
    yield link.swallow(True)
    link.swallow(False)


@fault((1, 2), early=True)
def worker_clock_ten_minutes_ahead(of: Contestant, chance: random.Random) -> Iterator[int]:
    """A worker that lives ten minutes in the future, with jobs that may take six."""
    yield from _clock(chance.choice(of.workers), 600)


@fault((1, 2), early=True)
def worker_clock_ten_minutes_behind(of: Contestant, chance: random.Random) -> Iterator[int]:
    """A worker that lives ten minutes in the past."""
    yield from _clock(chance.choice(of.workers), -600)


def _clock(worker: Part, seconds: int) -> Iterator[int]:
    worker.end()
    worker.start(CHAOS_CLOCK=str(seconds))
    worker.wait()
    yield 1
    yield 0
    worker.end()
    worker.start()
