"""Faults that come with releases, full disks, and jobs that kill."""

from __future__ import annotations

import contextlib
import random
import resource
import signal
from collections.abc import Iterator

import psutil

from tests.chaos.contestant import Contestant
from tests.chaos.faults.registry import fault
from tests.chaos.workload import Riddle

# One that kills, among others that don't.
POISONED = (*(Riddle(number=number) for number in range(2, 6)), Riddle(number=30, poison=True))
# A file of this size can still be written: nothing.
NO_ROOM = 0


@fault()
def rolling_deploy_with_term(of: Contestant, chance: random.Random) -> Iterator[int]:
    """One worker after the other is told to end by TERM and comes back as the other release."""
    yield from _deploy(of, signal.SIGTERM)


@fault()
def rolling_deploy_with_quit(of: Contestant, chance: random.Random) -> Iterator[int]:
    """The same by QUIT, which Celery takes for a cold shutdown."""
    yield from _deploy(of, signal.SIGQUIT)


def _deploy(of: Contestant, number: signal.Signals) -> Iterator[int]:
    for worker in of.workers:
        worker.end(number)
        of.change_release(worker)
        worker.start()
        worker.wait()
    yield len(of.workers)


@fault((3, 6))
def disk_full_under_a_worker(of: Contestant, chance: random.Random) -> Iterator[int]:
    """A worker can write to no file, its log included (RLIMIT_FSIZE)."""
    worker = chance.choice(of.busy())
    assert worker.child is not None
    process = psutil.Process(worker.child.pid)
    _, hard = process.rlimit(resource.RLIMIT_FSIZE)
    process.rlimit(resource.RLIMIT_FSIZE, (NO_ROOM, hard))
    yield 1
    if worker.alive:
        process.rlimit(resource.RLIMIT_FSIZE, (hard, hard))


@fault((0, 2))
def disk_full_under_postgres(of: Contestant, chance: random.Random) -> Iterator[int]:
    """No process of Postgres can write to a file (RLIMIT_FSIZE): the next commit makes it panic, and it can't recover
    before there is room again."""
    pid = of.services.postgres.pid
    assert pid is not None
    family = [psutil.Process(pid), *psutil.Process(pid).children()]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.rlimit(resource.RLIMIT_FSIZE, (NO_ROOM, process.rlimit(resource.RLIMIT_FSIZE)[1]))
    psutil.wait_procs(family[:1], timeout=10)
    yield 1
    of.services.postgres.stop()
    of.services.postgres.start()


@fault(riddles=POISONED)
def a_poison_job(of: Contestant, chance: random.Random) -> Iterator[int]:
    """One job among others kills every worker that asks for its answer; a supervisor starts the workers again."""
    yield 0
