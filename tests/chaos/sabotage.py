"""That the suite can fail: for each part that durability rests on, a fault that it stands against. With the part the
judge finds nothing; with the part taken away, in the processes of the test, it must find something.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import redis

from tests.chaos.contestant import Charge
from tests.chaos.fleet import mood
from tests.chaos.redraft import Redraft
from tests.chaos.workload import Riddle
from tests.standin.engine import Mood

Play = Callable[[Redraft, dict[str, str]], None]

RIDDLE = Riddle(number=2)
# When the fault is over and the part is there, jobs need a few seconds; a crippled one's are given up then.
PATIENCE_SECONDS = 60.0
IMPATIENCE_SECONDS = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A fault that is told `crippled` processes what to be started with. `teaching`: it needs a memory."""

    part: str
    play: Play
    teaching: bool = False

    def charges(self, redraft: Redraft, *, crippled: bool) -> tuple[Charge, ...]:
        """What the judge finds after it, with the part or without."""
        with_what = {"CHAOS_WITHOUT": self.part} if crippled else {}
        try:
            self.play(redraft, with_what)
            return redraft.judge()
        finally:
            redraft.stop()


def until(of: Redraft, jobs: tuple[int, ...], enough: Callable[[int, bool], bool], seconds: float) -> bool:
    """Waits until `enough(steps, all over)` is true of jobs; whether it came to that."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        now = of.standings(jobs) or {}
        if now and enough(sum(s.steps for s in now.values()), all(s.over for s in now.values())):
            return True
        time.sleep(0.05)
    return False


def over(of: Redraft, jobs: tuple[int, ...], crippled: dict[str, str]) -> None:
    """Waits until all are over, less patiently where nobody expects it."""
    until(of, jobs, lambda _, all_over: all_over, IMPATIENCE_SECONDS if crippled else PATIENCE_SECONDS)


def fence(of: Redraft, crippled: dict[str, str]) -> None:
    """A worker falls asleep between its decision and the record of it, past its lease; another goes on; it wakes up."""
    sleeper, other = of.workers
    of.relays[0].start()
    sleeper.start(CHAOS_STOP_AT="decided", **crippled)
    sleeper.wait()
    jobs = of.submit((RIDDLE,))
    other.start(**crippled)  # which takes seconds: the sleeper has the job by then
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not sleeper.stopped and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sleeper.stopped
    assert until(of, jobs, lambda _, all_over: all_over, PATIENCE_SECONDS)
    sleeper.wake()
    time.sleep(1.0)  # in which it writes, if anything lets it


def renewal(of: Redraft, crippled: dict[str, str]) -> None:
    """Answers take longer than a lease."""
    for engine in of.services.engines:
        mood(engine, Mood.SLOW)
    try:
        _start(of, crippled)
        jobs = of.submit((RIDDLE,))
        until(of, jobs, lambda _, all_over: all_over, PATIENCE_SECONDS)
    finally:
        for engine in of.services.engines:
            mood(engine, Mood.WELL)


def journal(of: Redraft, crippled: dict[str, str]) -> None:
    """A worker is killed when some calls of an iteration are committed and others are not."""
    _start(of, crippled)
    jobs = of.submit((RIDDLE,))
    until(of, jobs, lambda steps, _: steps >= 1, PATIENCE_SECONDS)
    for worker in of.workers:
        worker.kill()
        worker.start(**crippled)
    over(of, jobs, crippled)


def top_up(of: Redraft, crippled: dict[str, str]) -> None:
    """Every wake-up is lost: the worker dies, messages wait for it, Valkey is flushed."""
    worker = of.workers[0]
    for part in (of.relays[0], worker):
        part.start(**crippled)
    worker.wait()
    worker.kill()
    jobs = of.submit((RIDDLE,))
    with redis.Redis.from_url(of.services.valkey.url) as client:
        while not client.llen("gpu"):
            time.sleep(0.02)
        client.flushall()
    worker.start(REDRAFT_WAKEUP_SILENCE_SECONDS="600")  # else it looks for work itself, wake-up or not
    worker.wait()
    over(of, jobs, crippled)


def outbox(of: Redraft, crippled: dict[str, str]) -> None:
    """The memory is away when a job leaves its lesson, and back a little later."""
    assert of.memory is not None
    _start(of, crippled)
    of.memory.kill()
    jobs = of.submit((Riddle(number=20, memory=True),))
    until(of, jobs, lambda _, all_over: all_over, PATIENCE_SECONDS)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not of.attempts(jobs) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert of.attempts(jobs)
    of.memory.start()
    of.wait_for_memory()
    deadline = time.monotonic() + (IMPATIENCE_SECONDS if crippled else PATIENCE_SECONDS)
    while of.judge() and time.monotonic() < deadline:
        time.sleep(0.2)


def _start(of: Redraft, crippled: dict[str, str]) -> None:
    """Everything, where it is crippled without the part."""
    parts = [*([of.memory] if of.memory else []), *of.relays, *of.workers]
    for part in parts:
        part.start(**crippled)
    for part in parts:
        part.wait()


SCENARIOS = (
    Scenario(part="fence", play=fence),
    Scenario(part="renewal", play=renewal),
    Scenario(part="journal", play=journal),
    Scenario(part="top-up", play=top_up),
    Scenario(part="outbox", play=outbox, teaching=True),
)
