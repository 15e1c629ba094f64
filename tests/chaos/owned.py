"""The local stack of `redraft up` in the chaos suite: its owner is hurt, and what the owner keeps alive."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

from ops import faults as of_the_soak
from tasks.locations import child_environment
from tasks.store.roles import ensure_login
from tests.chaos.book import OWNERS, WORKER, Book, Booked
from tests.chaos.contestant import Contestant
from tests.chaos.faults.registry import Fault
from tests.chaos.fleet import ROOT, Part, Services, port_of
from tests.chaos.proxy import Proxy
from tests.chaos.redraft import PASSWORD
from workers import stackfile
from workers.home import Home

REDRAFT = (sys.executable, "-m", "workers.cli.main")
# Faults of the soak that need the whole stack; the owner's are healed by `up`, as a person would.
KINDS = ("owner.kill", "owner.term", "owner.stop", "worker.kill", "session.kill", "memory.kill")
EFFECT_SECONDS = 60.0


class Owned(Booked):
    """Implements `Contestant`: a stack of its own in a home of its own, over a stand-in engine."""

    name = "redraft up"
    steps_a_job = 20
    lease_seconds = 15.0
    patience_seconds = 120.0
    settle_seconds = 60.0

    def __init__(self, services: Services) -> None:
        self.services = services
        self.home = Home(root=services.folder / "owned")
        self.workers: list[Part] = []
        self.relays: list[Part] = []
        self.memory: Part | None = None
        self._last: stackfile.StackFile | None = None
        self._book = Book(admin=lambda: self._stack().admin_url, login=self._url, bank=None)

    def start(self) -> None:
        """`redraft up --detach`."""
        engine = f"http://127.0.0.1:{port_of(self.services.engines[0])}/v1"
        self._redraft("up", "--detach", "--endpoint", engine)
        for owner in OWNERS:
            ensure_login(self._stack().admin_url, owner, PASSWORD, "redraft_submitter")
        ensure_login(self._stack().admin_url, WORKER, PASSWORD, "redraft_worker")

    def stop(self) -> None:
        """`redraft down`."""
        self._redraft("down")
        folder = self.home.postgres_folder().parent
        if folder != self.home.root:
            subprocess.run(["rm", "-rf", str(folder)], check=True)

    def _redraft(self, *arguments: str) -> None:
        environment = {**child_environment(self.home.root), "REDRAFT_WIDTH": "2", "REDRAFT_EGRESS": "never"}
        done = subprocess.run(
            [*REDRAFT, *arguments], env=environment, cwd=ROOT, capture_output=True, text=True, check=False, timeout=180
        )
        assert done.returncode == 0, f"redraft {arguments[0]}: {done.stderr}"

    def _stack(self) -> stackfile.StackFile:
        """The running one's addresses, else the last ones."""
        self._last = stackfile.read(self.home.root) or self._last
        assert self._last is not None
        return self._last

    def _url(self, login: str) -> str:
        return f"postgresql+psycopg://{login}:{PASSWORD}@{self._stack().admin_url.rsplit('@', 1)[1]}"

    def links(self, service: str) -> Sequence[Proxy]:
        """It has none."""
        return ()


def of_the_stack(kind: str) -> Fault:
    """One of the soak's faults as a fault of the suite; where the owner ends, `up` follows."""
    part, _, how = kind.partition(".")

    def strike(of: Contestant, chance: random.Random) -> Iterator[int]:
        assert isinstance(of, Owned)
        fault = next(of_the_soak.sequence(chance, [kind]))
        hit = of_the_soak.victims(of.home, fault)
        of_the_soak.inflict(fault, hit, threading.Event())
        of_the_soak.took_effect(fault, hit, EFFECT_SECONDS)
        yield len(hit)
        if stackfile.read(of.home.root) is None:
            of.start()

    return Fault(
        name=f"redraft up: {part} {how}",
        made=strike,
        shortest=0,
        longest=2,
        leases=False,
        early=False,
        ours=True,
        riddles=(),
    )
