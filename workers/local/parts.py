"""The parts that are processes of ours (memory, relay, worker, Flower), and how each part's health is told."""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol
from urllib.parse import urlsplit

from tasks.errors import DatabaseUnavailable, PartFailed
from tasks.settings import child_environment, load_settings
from tasks.store.fleet import live_workers
from tasks.store.session import Database
from tasks.store.summaries import WorkerRow
from tasks.types import Egress, Lane
from workers.engine.record import read_record
from workers.failures import read_failure
from workers.local.home import Home, free_port
from workers.local.process import Recorded, end_tree, spawn
from workers.local.stackfile import StackFile, write_private

Health = Literal["ok", "starting", "down"]

# A part that dies is started again after 1, 2, 4 … seconds, at most this many.
LONGEST_PAUSE_SECONDS = 30.0
# Deaths in a row after which a part counts as down rather than starting.
DEATHS_BEFORE_DOWN = 3
# A service that answered once and then not for this long is started again though its process lives: it hangs, or
# was told to end and waits for sessions that never do (Postgres's answer to TERM).
SILENT_SECONDS = 20.0
# As old as what the local worker last said of itself may be; it speaks every few seconds.
WORKER_SILENCE_SECONDS = 15.0
# A part that has lived this long is well again.
WELL_AFTER_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """One line of `redraft status`."""

    name: str
    pid: int | None
    port: int | None
    address: str | None
    health: Health
    started: float | None = None
    why: str = ""  # it ended on its own account; until it is well again


@dataclass(slots=True, kw_only=True)
class ProcessPart:
    """A part run as a child: started again when it dies. `probe` tells whether a living one is well."""

    name: str
    argv: list[str]
    home: Home
    probe: Callable[[int], bool]
    needs_secrets: bool = False  # only who talks to models is given their keys
    port: int | None = None
    address: str | None = None
    deaths: int = 0
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    next_try: float = 0.0
    seen_ok: bool = field(default=False)

    @property
    def pid(self) -> int | None:
        """Of the living process."""
        return self.child.pid if self.child is not None and self.child.poll() is None else None

    def start(self) -> None:
        """Starts the process."""
        self.child = spawn(
            self.argv,
            log=self.home.log / f"{self.name}.log",
            folder=self.home.root,
            environment=child_environment(self.home.root, secrets=self.needs_secrets),
        )
        self.started_at = time.monotonic()
        self.seen_ok = False

    def tend(self) -> None:
        """Starts it again where it has died, not sooner than its pause."""
        now = time.monotonic()
        if self.child is not None and self.child.poll() is None:
            if self.deaths and now - self.started_at > WELL_AFTER_SECONDS:
                self.deaths = 0
            return
        if self.child is not None:
            self.child = None
            self.deaths += 1
            self.next_try = now + min(LONGEST_PAUSE_SECONDS, 2.0 ** (self.deaths - 1))
        if now >= self.next_try:
            self.start()

    def status(self) -> PartStatus:
        """Where it stands."""
        pid = self.pid
        ok = pid is not None and self.probe(pid)
        health: Health = "ok" if ok else "down" if self.deaths >= DEATHS_BEFORE_DOWN else "starting"
        return PartStatus(
            name=self.name,
            pid=pid,
            port=self.port,
            address=self.address,
            health=health,
            started=_started(pid),
            why=read_failure(self.home, self.name),
        )

    def stop(self) -> None:
        """TERM, and KILL for what is left of its tree."""
        if self.child is not None and self.child.poll() is None:
            end_tree(Recorded.of(self.child.pid), seconds=STOP_SECONDS)
        if self.child is not None:
            self.child.wait()


class Server(Protocol):
    """An embedded service, started by a call that returns when it answers. Raises `PartFailed`."""

    port: int

    @property
    def pid(self) -> int | None:
        """Its process, None where it does not run."""

    @property
    def healthy(self) -> bool:
        """Whether it answers."""

    def start(self) -> None:
        """Starts it, again on the port it had."""

    def stop(self) -> None:
        """Ends it, though it may hang."""


@dataclass(slots=True, kw_only=True)
class ServicePart:
    """An embedded service, started again when it dies or falls silent. Where that fails, the stack stays and tries
    later."""

    name: str
    server: Server
    silent_seconds: float = SILENT_SECONDS
    failures: int = 0
    next_try: float = 0.0
    answered_at: float | None = None

    def tend(self, say: Callable[[str], None]) -> None:
        """Starts it again where it has died, not sooner than its pause; `say` hears why that failed."""
        now = time.monotonic()
        if self.server.pid is not None:
            if self.answered_at is None or now - self.answered_at < self.silent_seconds:
                return
            say(f"{self.name} has not answered for {now - self.answered_at:.0f} s and is started again")
            self.server.stop()
        if now < self.next_try:
            return
        self.answered_at = None
        try:
            self.server.start()
        except PartFailed as error:
            say(str(error))
            self.next_try = time.monotonic() + min(LONGEST_PAUSE_SECONDS, 2.0**self.failures)
            self.failures += 1
        else:
            self.failures = 0

    def status(self) -> PartStatus:
        """Where it stands."""
        pid = self.server.pid
        health: Health = "down" if self.failures >= DEATHS_BEFORE_DOWN else "starting"
        if pid is not None and self.server.healthy:
            health, self.answered_at = "ok", time.monotonic()
        return PartStatus(
            name=self.name,
            pid=pid,
            port=self.server.port,
            address=f"127.0.0.1:{self.server.port}",
            health=health,
            started=_started(pid),
        )


def _started(pid: int | None) -> float | None:
    return Recorded.of(pid).started if pid else None


def memory_part(home: Home, stack: StackFile) -> ProcessPart:
    """The memory; it reads its port and its key from the stack file, so that neither is in argv."""
    return ProcessPart(
        name="memory",
        argv=[sys.executable, "-m", "workers.local.memory"],
        home=home,
        port=urlsplit(stack.memory_url).port,
        address=stack.memory_url,
        probe=lambda pid: answers(stack.memory_url, {"api-key": stack.memory_key}),
    )


def relay_part(home: Home) -> ProcessPart:
    """The relay; it has no port, so being alive is being well."""
    argv = [sys.executable, "-m", "workers.cli.main", "relay"]
    return ProcessPart(name="relay", argv=argv, home=home, probe=lambda pid: True)


def worker_part(home: Home, stack: StackFile) -> ProcessPart:
    """One worker for all lanes, the cloud's where it is opened; well when it says in the database that it
    lives."""

    def probe(pid: int) -> bool:
        try:
            with Database(stack.worker_url, name="redraft supervisor", pool=1) as database:
                return any(_serves(row, pid) for row in live_workers(database))
        except DatabaseUnavailable:
            return False

    argv = [sys.executable, "-m", "workers.cli.main", "worker", "--lane", ",".join(local_lanes())]
    return ProcessPart(name="worker", argv=argv, home=home, probe=probe, needs_secrets=True)


def _serves(row: WorkerRow, pid: int) -> bool:
    return row.pid == pid and Lane.GPU in row.lanes and row.silent_seconds < WORKER_SILENCE_SECONDS


def local_lanes() -> tuple[Lane, ...]:
    """The lanes of the local worker; the cloud's where the operator has opened it, and given a key."""
    settings = load_settings()
    opened = settings.egress is Egress.FULL and bool(settings.openai_api_key.get_secret_value())
    return (Lane.GPU, Lane.FAST, Lane.CHECK, *([Lane.CLOUD] if opened else []))


def flower_part(home: Home, stack: StackFile) -> ProcessPart:
    """Flower behind a password, which is in a private file and never in argv."""
    port = int(stack.flower_url.rsplit(":", 1)[1])
    config = home.run / "flowerconfig.py"
    write_private(
        config,
        f"address = '127.0.0.1'\nport = {port}\nbasic_auth = ['{stack.flower_user}:{stack.flower_password}']\n"
        "tasks_columns = 'name,state,kwargs,result,received,runtime,worker'\n",
    )
    argv = [sys.executable, "-m", "workers.flower", f"--conf={config}"]
    return ProcessPart(
        name="flower",
        argv=argv,
        home=home,
        port=port,
        address=stack.flower_url,
        probe=lambda pid: answers(f"{stack.flower_url}/healthcheck"),
    )


def answers(url: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether a loopback address answers 200."""
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - a loopback address of ours
    try:
        with urllib.request.urlopen(request, timeout=2) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def engine_status(home: Home, worker: PartStatus) -> PartStatus:
    """The engine, which is the worker's child and outlives a killed worker to be adopted by the next."""
    record = read_record(home)
    if record is None:  # an endpoint of somebody else's has no process here: as well as its worker
        return PartStatus(name="engine", pid=None, port=None, address=None, health=worker.health)
    process = record.process
    if not process.alive:
        return PartStatus(name="engine", pid=None, port=record.port, address=None, health="down")
    health: Health = "ok" if answers(f"http://127.0.0.1:{record.port}/health") else "starting"
    return PartStatus(
        name="engine", pid=process.pid, port=record.port, address=record.url, health=health, started=process.started
    )


def fresh_address() -> str:
    """Where a part of the stack will listen."""
    return f"http://127.0.0.1:{free_port()}"
