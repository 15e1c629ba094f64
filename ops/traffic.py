"""The soak's users: they submit small jobs of several kinds, cancel some, and try again when the stack is away.

Knows what was acknowledged, which must never be lost; knows nothing of faults.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from pathlib import Path

from tasks.client import Client
from tasks.errors import RedraftError
from tasks.installed import installed_rules
from tasks.jobflags import Flags
from tasks.settings import load_settings
from tasks.store.roles import ensure_login
from tasks.submit import read_jobs
from tasks.types import Budget, CheckSpec, Egress, JobSpec, JobState
from workers import stackfile

OWNERS = ("soak_ada", "soak_bob", "soak_eve")
PASSWORD = "only-on-loopback"  # noqa: S105 - a database that lives as long as the soak
# So many jobs are kept waiting or running: more than the soak gives its worker slots, so that there is always something
# to lose.
LIVE_JOBS = 10
CANCELLED_SHARE = 0.08
LOOK_SECONDS = 1.0
NUMBERS = ("What is {a} + {b}?", "What is {a} times {b}?")


class Traffic:
    """A thread that keeps jobs flowing. `submitted` are the jobs that the database has acknowledged."""

    def __init__(self, home: Path, demo: Path, seed: int) -> None:
        self._home, self._chance = home, random.Random(seed)  # noqa: S311 - to be repeatable
        files = [str(path) for path in sorted(demo.glob("*.md"))]
        self._problems = read_jobs(files, Flags(), installed_rules(load_settings()), bytes).specs
        self._lock = threading.Lock()
        self._submitted: set[int] = set()
        self._keys: dict[str, int] = {}
        self._doomed: list[tuple[float, str, int]] = []
        self._made = self.refused = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def start(self) -> None:
        """Makes the logins and begins."""
        for owner in OWNERS:
            ensure_login(self._admin(), owner, PASSWORD, "redraft_submitter")
        self._thread.start()

    def stop(self) -> None:
        """No more jobs, no more cancels."""
        self._stopping.set()
        self._thread.join(timeout=30)

    @property
    def submitted(self) -> frozenset[int]:
        """The jobs whose submission was acknowledged."""
        with self._lock:
            return frozenset(self._submitted)

    def _run(self) -> None:
        waiting: tuple[str, JobSpec] | None = None
        while not self._stopping.wait(LOOK_SECONDS):
            try:
                self._cancel_doomed()
                while self._live() < LIVE_JOBS and not self._stopping.is_set():
                    waiting = waiting or (self._chance.choice(OWNERS), self._spec())
                    self._submit(*waiting)
                    waiting = None
            except (RedraftError, OSError):  # away: the same job, under the same key, once it is back
                self.refused += 1

    def _submit(self, owner: str, spec: JobSpec) -> None:
        with self._client(owner) as client:
            [submitted] = client.submit(spec)
        with self._lock:
            self._submitted.add(submitted.job)
        if self._chance.random() < CANCELLED_SHARE:
            self._doomed.append((time.monotonic() + self._chance.uniform(0, 40), owner, submitted.job))

    def _cancel_doomed(self) -> None:
        for doomed in [one for one in self._doomed if one[0] <= time.monotonic()]:
            _, owner, job = doomed
            with self._client(owner) as client:
                client.cancel(job)
            self._doomed.remove(doomed)

    def _live(self) -> int:
        states = (JobState.QUEUED, JobState.RUNNING)
        with Client(self._stack().worker_url, pool=1) as client:
            return len(client.list(states=states, limit=LIVE_JOBS))

    def _spec(self) -> JobSpec:
        """A problem of the demo, or a sum; a small budget, so that jobs end by every way there is."""
        self._made += 1
        chance = self._chance
        key, seed = f"soak-{self._made}", chance.randrange(2**31)
        strategy = chance.choice(("correct", "best_of_n"))
        budget = Budget(iterations=chance.randint(2, 6), tokens=chance.choice((6_000, 20_000, 60_000)), hours=2.0)
        fields = {"strategy": strategy, "budget": budget, "egress": Egress.NEVER, "key": key, "seed": seed}
        if chance.random() < 0.6:
            return replace(chance.choice(self._problems), **fields)
        a, b = chance.randint(2, 60), chance.randint(2, 60)
        question = chance.choice(NUMBERS)
        right = a + b if "+" in question else a * b
        checks = (
            CheckSpec(name="answer", kind="answer", value={"exact": str(right)}),
            CheckSpec(name="answer#2", kind="answer", value={"regex": r"\d+"}, held_out=True),
        )
        return JobSpec(title=question.format(a=a, b=b), problem=question.format(a=a, b=b), checks=checks, **fields)  # type: ignore[arg-type]

    def _stack(self) -> stackfile.StackFile:
        stack = stackfile.read(self._home)
        if stack is None:
            raise OSError("the stack is away")
        return stack

    def _admin(self) -> str:
        return self._stack().admin_url

    def _client(self, owner: str) -> Client:
        place = self._admin().rsplit("@", 1)[1]
        return Client(f"postgresql://{owner}:{PASSWORD}@{place}", pool=1)
