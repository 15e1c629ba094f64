"""What the suite asks of whoever takes part: Redraft, and beside it plain Celery on the same services."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tests.chaos.fleet import Part, Services
from tests.chaos.proxy import Proxy
from tests.chaos.workload import Riddle


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a job stands. `steps` rises with everything that is recorded of it."""

    steps: int
    over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One thing the judge found: `lost`, `doubled` or `diverged`, of which job, and what was seen."""

    kind: str
    job: int
    what: str


class Contestant(Protocol):
    """Takes jobs, works them off with processes that can be hurt, and can be judged.

    A job has at least `steps_a_job`; a worker that is silent for `lease_seconds` loses it to another; a job that is not
    over after `patience_seconds` is not waited for; what follows a job may take `settle_seconds`.
    """

    name: str
    steps_a_job: int
    lease_seconds: float
    patience_seconds: float
    settle_seconds: float
    services: Services
    workers: list[Part]
    relays: list[Part]
    memory: Part | None

    def start(self) -> None:
        """Its processes, until they can take work."""

    def stop(self) -> None:
        """No process is left."""

    def submit(self, riddles: Sequence[Riddle]) -> tuple[int, ...]:
        """Hands jobs in; what it returns has been acknowledged."""

    def standings(self, jobs: Collection[int]) -> Mapping[int, Standing] | None:
        """Where jobs stand; None where nobody can say now."""

    def learn(self) -> None:
        """What the jobs so far came to is what every later one of the same riddle must come to."""

    def judge(self) -> tuple[Charge, ...]:
        """Every charge of every job so far, when all should be over."""

    def cut_turns(self) -> int:
        """How often so far work was cut off and begun again, as the contestant itself has noted."""

    def busy(self) -> list[Part]:
        """The workers that hold work now, all of them where nobody can say."""

    def stale(self) -> int:
        """Delivers messages of jobs that are long over; how many."""

    def tenfold(self, on: bool) -> None:
        """While it is on every message is sent ten times."""

    def another_relay(self) -> Part:
        """A second one, not yet started."""

    def change_release(self, worker: Part) -> None:
        """The worker, which does not run, will start as the other release."""

    def lose_memory(self) -> None:
        """The folder of the memory, which does not run, is gone."""

    def rebuild_memory(self) -> None:
        """The memory's index is made anew."""

    def links(self, service: str) -> Sequence[Proxy]:
        """The proxies of all its processes to `postgres` or `valkey`."""
