"""Faults that come with releases, full disks, and jobs that kill."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
from collections.abc import Iterator

import psutil

from tests.chaos.contestant import Contestant
from tests.chaos.faults.registry import fault
from tests.chaos.workload import POISONED
from workers.home import unprivileged_ids


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
    pid = worker.child.pid
    _write_at_most(pid, "0")
    yield 1
    _write_at_most(pid, "unlimited")


@fault((0, 2))
def disk_full_under_postgres(of: Contestant, chance: random.Random) -> Iterator[int]:
    """No process of Postgres can write to a file (RLIMIT_FSIZE): the next commit makes it panic, and it can't recover
    before there is room again."""
    pid = of.services.postgres.pid
    assert pid is not None
    for process in (psutil.Process(pid), *psutil.Process(pid).children()):
        _write_at_most(process.pid, "0")
    yield 1
    of.services.postgres.stop()
    of.services.postgres.start()


def _write_at_most(pid: int, size: str) -> None:
    """By a process of the same user: only root with every capability may limit another's."""
    with contextlib.suppress(psutil.NoSuchProcess):  # a session that has ended meanwhile
        owner, ids = psutil.Process(pid).uids().real, unprivileged_ids()
        drop = [f"--reuid={ids[0]}", f"--regid={ids[1]}", "--clear-groups"] if ids and ids[0] == owner else []
        limit = ["prlimit", f"--pid={pid}", f"--fsize={size}:"]
        subprocess.run(["setpriv", *drop, "--", *limit], check=False, capture_output=True)


@fault(riddles=POISONED)
def a_poison_job(of: Contestant, chance: random.Random) -> Iterator[int]:
    """One job among others kills every worker that asks for its answer; a supervisor starts the workers again."""
    yield 0
