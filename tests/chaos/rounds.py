"""One round: jobs are handed in, a fault strikes while they run, it heals, and a judge looks at what came of them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.contestant import Charge, Contestant, Standing
from tests.chaos.faults import Fault
from tests.chaos.workload import RIDDLES, Riddle

JOBS_A_ROUND = 5
# A fault strikes when so many steps, at most, have been recorded of its jobs; a job has about fourteen.
STRIKE_STEPS = 45
LOOK_SECONDS = 0.1
# A job that is not over by then, counted from the end of the fault, is lost: it takes four seconds when it is alone.
OVER_SECONDS = 90.0
# What is delivered after the job: lessons.
SETTLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round came to. `acts` are kills, stops, cuts and the like; `seconds` is the time from the fault's
    beginning until every job that was alive had gone on, None where none was alive then."""

    fault: str
    jobs: int
    acts: int
    cut_turns: int
    lasted: float
    seconds: float | None
    charges: tuple[Charge, ...]


class _Watch:
    """A thread that looks where the jobs stand, and when each that was alive at the strike went on."""

    def __init__(self, of: Contestant, jobs: Collection[int]) -> None:
        self._of, self._jobs = of, jobs
        self.now: Mapping[int, Standing] = {}
        self._before: dict[int, Standing] = {}
        self._began = 0.0
        self._went_on: dict[int, float] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def __enter__(self) -> _Watch:
        self.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def strike(self) -> None:
        """From now on it counts the seconds."""
        self.look()
        self._began = time.monotonic()
        self._before = {job: standing for job, standing in self.now.items() if not standing.over}

    @property
    def steps(self) -> int:
        """Of all jobs together."""
        return sum(standing.steps for standing in self.now.values())

    @property
    def over(self) -> bool:
        """Whether all jobs are."""
        return len(self.now) == len(self._jobs) and all(standing.over for standing in self.now.values())

    @property
    def seconds(self) -> float | None:
        """Until the last of the jobs that were alive had gone on; None where none was."""
        return max(self._went_on.values(), default=None)

    def look(self) -> None:
        """Once."""
        self.now = self._of.standings(self._jobs) or self.now
        for job, before in self._before.items():
            standing = self.now[job]
            if job not in self._went_on and (standing.over or standing.steps > before.steps):
                self._went_on[job] = time.monotonic() - self._began

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            self.look()


class Arena:
    """Rounds of one contestant. `say` hears what happens."""

    def __init__(self, contestant: Contestant, chance: random.Random, say: Callable[[str], None]) -> None:
        self._of, self._chance, self._say = contestant, chance, say
        self._known: set[Charge] = set()
        self._cut_turns = 0

    def reference(self, riddles: Sequence[Riddle] = RIDDLES) -> tuple[Charge, ...]:
        """The run without faults: what is found in it is held against the suite itself."""
        jobs = self._of.submit(riddles)
        with _Watch(self._of, jobs) as watch:
            self._supervised(lambda: watch.over, OVER_SECONDS)
        return self._new_charges()

    def play(self, fault: Fault) -> Round:
        """One round of a fault."""
        riddles = fault.riddles or tuple(self._chance.sample(RIDDLES, JOBS_A_ROUND))
        made = fault.made(self._of, self._chance)
        began = time.monotonic()
        acts = next(made) if fault.early else 0
        jobs = self._of.submit(riddles)
        steps = 0 if fault.riddles else self._chance.randint(0, STRIKE_STEPS)
        with _Watch(self._of, jobs) as watch:
            if not fault.early:
                self._supervised(lambda: watch.over or watch.steps >= steps, OVER_SECONDS)
                began = time.monotonic()
            watch.strike()
            acts += 0 if fault.early else next(made)
            time.sleep(fault.seconds(self._chance))
            acts += next(made, 0)
            lasted = time.monotonic() - began
            acts += self._supervised(lambda: watch.over, OVER_SECONDS)
        next(made, 0)
        for part in (*self._of.relays, *self._of.workers):
            part.wait()
        cut_turns = self._of.cut_turns()
        done = Round(
            fault=fault.name,
            jobs=len(jobs),
            acts=acts,
            cut_turns=cut_turns - self._cut_turns,
            lasted=lasted,
            seconds=watch.seconds,
            charges=self._new_charges(),
        )
        self._cut_turns = cut_turns
        self._tell(done)
        return done

    def _tell(self, done: Round) -> None:
        span = "nobody was alive" if done.seconds is None else f"on again after {done.seconds:.1f} s"
        self._say(f"{done.fault}: {done.acts} acts, {done.cut_turns} turns cut, {span}, {len(done.charges)} charges")
        for charge in done.charges:
            self._say(f"  {charge.kind}: job {charge.job}: {charge.what}")

    def _supervised(self, until: Callable[[], bool], seconds: float) -> int:
        """Waits, and starts a worker that died again, as a supervisor does; how many died."""
        deadline, deaths = time.monotonic() + seconds, 0
        while not until() and time.monotonic() < deadline:
            for worker in self._of.workers:
                if not worker.alive:
                    deaths += 1
                    worker.start()
            time.sleep(LOOK_SECONDS)
        return deaths

    def _new_charges(self) -> tuple[Charge, ...]:
        """What the judge finds once what follows a job has had its time; each thing is held against one round only."""
        until = time.monotonic() + SETTLE_SECONDS
        while (found := set(self._of.judge()) - self._known) and time.monotonic() < until:
            if all(charge.kind != "lost" for charge in found):
                break
            time.sleep(1.0)
        self._known |= found
        return tuple(sorted(found, key=lambda charge: (charge.kind, charge.job, charge.what)))
