"""One round: jobs are handed in, a fault strikes while they run, it heals, and a judge looks at what came of them."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.contestant import Charge, Contestant, Standing
from tests.chaos.faults import Fault
from tests.chaos.workload import ALL, RIDDLES, Riddle

JOBS_A_ROUND = 5
# A fault strikes when at most this share of its jobs' steps has been recorded.
LATEST_STRIKE = 0.6
LOOK_SECONDS = 0.1


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
        for job in self._before:  # one that has not gone on yet takes at least so long
            self._went_on.setdefault(job, time.monotonic() - self._began)

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
    """Rounds of one contestant: `jobs` of `riddles` each. `say` hears what happens."""

    def __init__(
        self,
        contestant: Contestant,
        chance: random.Random,
        say: Callable[[str], None],
        *,
        riddles: Sequence[Riddle] = RIDDLES,
        jobs: int = JOBS_A_ROUND,
    ) -> None:
        self._of, self._chance, self._say = contestant, chance, say
        self._riddles, self._jobs = riddles, jobs
        self._rounds: list[tuple[Round, tuple[int, ...]]] = []
        self._known: set[tuple[str, int]] = set()
        self._cut_turns = 0

    def reference(self, riddles: Sequence[Riddle] = ALL) -> tuple[Charge, ...]:
        """The run without faults: what is found in it is held against the suite itself."""
        jobs = self._of.submit(riddles)
        with _Watch(self._of, jobs) as watch:
            self._supervised(lambda: watch.over, self._of.patience_seconds)
        return self._new_charges()

    def play(self, fault: Fault) -> Round:
        """One round of a fault."""
        riddles = fault.riddles or tuple(self._chance.sample(self._riddles, self._jobs))
        made = fault.made(self._of, self._chance)
        began = time.monotonic()
        acts = next(made) if fault.early else 0
        jobs = self._of.submit(riddles)
        steps = 0 if fault.riddles else self._chance.randint(0, int(LATEST_STRIKE * self._of.steps_a_job * len(jobs)))
        with _Watch(self._of, jobs) as watch:
            if not fault.early:
                self._supervised(lambda: watch.over or watch.steps >= steps, self._of.patience_seconds)
                began = time.monotonic()
            watch.strike()
            acts += 0 if fault.early else next(made)
            time.sleep(fault.seconds(self._of, self._chance))
            acts += next(made, 0)
            lasted = time.monotonic() - began
            acts += self._supervised(lambda: watch.over, self._of.patience_seconds)
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
        self._rounds.append((done, jobs))
        return done

    def settled(self) -> list[Round]:
        """All rounds, with what the judge finds at the very end, when whatever comes late has come: each charge is
        held against the round of its job, one that is of no job against the last."""
        found = self._of.judge()
        last = len(self._rounds) - 1
        return [
            dataclasses.replace(
                one, charges=tuple(c for c in found if c.job in jobs or (number == last and not self._knows(c.job)))
            )
            for number, (one, jobs) in enumerate(self._rounds)
        ]

    def _knows(self, job: int) -> bool:
        return any(job in jobs for _, jobs in self._rounds)

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
        until = time.monotonic() + self._of.settle_seconds
        while any(charge.kind == "lost" for charge in self._unknown()) and time.monotonic() < until:
            time.sleep(1.0)
        found = self._unknown()
        self._known |= {(charge.kind, charge.job) for charge in found if charge.job}
        return tuple(sorted(found, key=lambda charge: (charge.kind, charge.job, charge.what)))

    def _unknown(self) -> tuple[Charge, ...]:
        return tuple(charge for charge in self._of.judge() if (charge.kind, charge.job) not in self._known)
