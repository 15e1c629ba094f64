"""One round: jobs are handed in, a fault strikes while they run, it heals, and a judge looks at what came of them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from tests.chaos.contestant import Charge, Contestant, Standing
from tests.chaos.faults import Fault
from tests.chaos.workload import Riddle

# The riddles whose stories the run without faults tells.
RIDDLES = tuple(Riddle(number=number, memory=number % 5 == 0) for number in range(2, 12))
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


@dataclass(slots=True)
class _Watch:
    """When each job that was alive at the strike has gone on."""

    began: float
    before: dict[int, Standing]
    went_on: dict[int, float] = field(default_factory=dict)

    def look(self, now: dict[int, Standing]) -> None:
        for job, was in self.before.items():
            is_now = now.get(job)
            if job not in self.went_on and is_now and (is_now.over or is_now.steps > was.steps):
                self.went_on[job] = time.monotonic() - self.began

    @property
    def seconds(self) -> float | None:
        return max(self.went_on.values(), default=None)


class Arena:
    """Rounds of one contestant. `say` hears what happens."""

    def __init__(self, contestant: Contestant, chance: random.Random, say: Callable[[str], None]) -> None:
        self._of, self._chance, self._say = contestant, chance, say
        self._known: set[Charge] = set()
        self._cut_turns = 0

    def reference(self, riddles: Sequence[Riddle] = RIDDLES) -> tuple[Charge, ...]:
        """The run without faults: what is found in it is held against the suite itself."""
        jobs = self._of.submit(riddles)
        self._until_over(jobs, None)
        return self._new_charges(jobs)

    def play(self, fault: Fault, riddles: Sequence[Riddle] | None = None) -> Round:
        """One round of a fault."""
        chosen = riddles or fault.riddles or tuple(self._chance.sample(RIDDLES, JOBS_A_ROUND))
        strike = fault.made(self._of, self._chance)
        acts = next(strike) if fault.early else 0
        jobs = self._of.submit(chosen)
        if not fault.early:
            self._until_steps(jobs, self._chance.randint(0, STRIKE_STEPS) if fault.riddles == () else 0)
        before = self._look(jobs)
        watch = _Watch(time.monotonic(), {job: s for job, s in before.items() if not s.over})
        if not fault.early:
            acts = next(strike)
        self._hold(watch, jobs, fault.seconds(self._chance))
        acts += next(strike, 0)
        lasted = time.monotonic() - watch.began
        self._until_over(jobs, watch)
        for part in (*self._of.relays, *self._of.workers):
            part.wait()
        charges = self._new_charges(jobs)
        cut, self._cut_turns = self._of.cut_turns() - self._cut_turns, self._of.cut_turns()
        made = Round(
            fault=fault.name,
            jobs=len(jobs),
            acts=acts,
            cut_turns=cut,
            lasted=lasted,
            seconds=watch.seconds,
            charges=charges,
        )
        self._say(f"{fault.name}: acts {acts}, cut turns {cut}, {_span(made.seconds)}, charges {len(charges)}")
        for charge in charges:
            self._say(f"  {charge.kind}: job {charge.job}: {charge.what}")
        return made

    def _look(self, jobs: Collection[int]) -> dict[int, Standing]:
        return dict(self._of.standings(jobs) or {})

    def _hold(self, watch: _Watch, jobs: Collection[int], seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            watch.look(self._look(jobs))
            time.sleep(LOOK_SECONDS)

    def _until_steps(self, jobs: Collection[int], steps: int) -> None:
        until = time.monotonic() + OVER_SECONDS
        while time.monotonic() < until:
            now = self._look(jobs)
            if sum(standing.steps for standing in now.values()) >= steps or all(s.over for s in now.values()):
                return
            time.sleep(LOOK_SECONDS)

    def _until_over(self, jobs: Collection[int], watch: _Watch | None) -> None:
        until = time.monotonic() + OVER_SECONDS
        while time.monotonic() < until:
            now = self._look(jobs)
            if watch is not None:
                watch.look(now)
            if len(now) == len(jobs) and all(standing.over for standing in now.values()):
                return
            time.sleep(LOOK_SECONDS)

    def _new_charges(self, jobs: Collection[int]) -> tuple[Charge, ...]:
        """What the judge finds once what follows a job has had its time; each thing is held against one round only."""
        until = time.monotonic() + SETTLE_SECONDS
        while (found := set(self._of.judge()) - self._known) and time.monotonic() < until:
            if all(charge.kind != "lost" for charge in found):
                break
            time.sleep(1.0)
        self._known |= found
        return tuple(sorted(found, key=lambda charge: (charge.kind, charge.job, charge.what)))


def _span(seconds: float | None) -> str:
    return "nobody was alive" if seconds is None else f"on again after {seconds:.1f} s"
