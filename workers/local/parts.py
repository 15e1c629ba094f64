"""The parts that are processes of Redraft (memory, relay, worker, Flower, the live page, the metrics), and how the
health of each is determined."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from tasks.errors import DatabaseUnavailable, PartFailed
from tasks.locations import child_environment
from tasks.settings import load_settings
from tasks.store.joblines import JobLines
from tasks.types import Egress, Lane
from workers.backoff import pause_seconds
from workers.engine.record import read_record
from workers.failures import read_failure, read_warning
from workers.home import Home, write_private
from workers.http_client import answers
from workers.local.record import DEATHS_BEFORE_DOWN, Health, PartStatus
from workers.process import Recorded, end_trees, spawn
from workers.stackfile import StackFile

# A part that dies is restarted after 1, 2, 4 … seconds, at most after this many.
LONGEST_PAUSE_SECONDS = 30.0
# A service that answered once and then not for this long is restarted although its process lives: it hangs, or got TERM
# and waits for sessions that never end (as Postgres does).
SILENT_SECONDS = 20.0
# As old as what the local worker last said of itself may be; it speaks every few seconds.
WORKER_SILENCE_SECONDS = 15.0
# A part that has lived this long counts as recovered.
WELL_AFTER_SECONDS = 60.0
STOP_SECONDS = 30.0
# Flower shows a worker that has gone for so long; the one that took its place has another name.
PURGE_SECONDS = 60


@dataclass(slots=True, kw_only=True)
class ProcessPart:
    """A part that runs as a child and is restarted when it dies. `probe` says whether a living one is healthy; `engine`
    is what the worker says of its engine."""

    name: str
    argv: list[str]
    home: Home
    probe: Callable[[int], bool]
    engine: WorkerProbe | None = None
    needs_secrets: bool = False  # only parts that talk to models get their keys
    tells_hooks: bool = False  # the same of webhooks' addresses and secrets
    port: int | None = None
    address: str | None = None
    deaths: int = 0
    child: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    next_try: float = 0.0
    seen_ok: bool = field(default=False)

    @property
    def pid(self) -> int | None:
        """The pid of the living process, or None."""
        return self.child.pid if self.child is not None and self.child.poll() is None else None

    def start(self) -> None:
        """Starts the process."""
        self.child = spawn(
            self.argv,
            log=self.home.log / f"{self.name}.log",
            folder=self.home.root,
            environment=child_environment(self.home.root, secrets=self.needs_secrets, hooks=self.tells_hooks),
        )
        self.started_at = time.monotonic()
        self.seen_ok = False

    def tend(self) -> None:
        """Restarts the process if it has died, once its pause is over."""
        now = time.monotonic()
        if self.child is not None and self.child.poll() is None:
            if self.deaths and now - self.started_at > WELL_AFTER_SECONDS:
                self.deaths = 0
            return
        if self.child is not None:
            self.child = None
            self.deaths += 1
            self.next_try = now + pause_seconds(self.deaths, longest=LONGEST_PAUSE_SECONDS)
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


class Server(Protocol):
    """An embedded service. `start` returns when it answers, and raises `PartFailed`."""

    port: int

    @property
    def pid(self) -> int | None:
        """The pid of its process, None where it does not run."""

    @property
    def healthy(self) -> bool:
        """Whether it answers."""

    def start(self) -> None:
        """Starts it, on the same port as before."""

    def stop(self) -> None:
        """Ends it, even if it hangs."""


@dataclass(slots=True, kw_only=True)
class ServicePart:
    """An embedded service that is restarted when it dies or no longer answers. If that fails, the stack keeps running
    and retries later."""

    name: str
    server: Server
    silent_seconds: float = SILENT_SECONDS
    failures: int = 0
    next_try: float = 0.0
    answered_at: float | None = None

    def tend(self, say: Callable[[str], None]) -> None:
        """Restarts the service if it has died or no longer answers, once its pause is over; reports failures to
        `say`."""
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
            self.failures += 1
            self.next_try = time.monotonic() + pause_seconds(self.failures, longest=LONGEST_PAUSE_SECONDS)
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
    """The memory; it reads its port and key from the stack file, so that neither is in argv."""
    return ProcessPart(
        name="memory",
        argv=[sys.executable, "-m", "workers.local.memory"],
        home=home,
        port=urlsplit(stack.memory_url).port,
        address=stack.memory_url,
        probe=lambda pid: answers(stack.memory_url, {"api-key": stack.memory_key}),
    )


def relay_part(home: Home) -> ProcessPart:
    """The relay, which also tells hooks; it has no port, so it is healthy as long as it lives."""
    argv = [sys.executable, "-m", "workers.cli.main", "relay"]
    return ProcessPart(name="relay", argv=argv, home=home, probe=lambda pid: True, tells_hooks=True)


@dataclass(slots=True, kw_only=True)
class WorkerProbe:
    """Whether the local worker is well, by what it says in the database at `url`; and `engine_fault`, why its engine
    does not answer."""

    url: str
    engine_fault: str = ""

    def __call__(self, pid: int) -> bool:
        """Whether the worker of that pid serves the engine's lane."""
        try:
            with JobLines(self.url, name="redraft supervisor") as lines:
                rows = [row for row in lines.workers() if row.silent_seconds < WORKER_SILENCE_SECONDS]
        except DatabaseUnavailable:
            return False
        own = [row for row in rows if row.pid == pid]
        self.engine_fault = next((row.engine_fault for row in own or rows if row.engine_fault), "")
        return any(Lane.GPU in row.lanes for row in own)


def worker_part(home: Home, stack: StackFile) -> ProcessPart:
    """One worker for all lanes, the cloud's where it is opened; well when it says in the database that it
    lives."""
    argv = [sys.executable, "-m", "workers.cli.main", "worker", "--lane", ",".join(local_lanes())]
    probe = WorkerProbe(url=stack.worker_url)
    return ProcessPart(name="worker", argv=argv, home=home, probe=probe, engine=probe, needs_secrets=True)


def local_lanes() -> tuple[Lane, ...]:
    """The lanes of the local worker; `cloud` only where the operator allows egress and has set a key, or another
    adviser."""
    settings = load_settings()
    cloud_allowed = settings.egress is not Egress.NEVER and settings.has_adviser
    return (Lane.GPU, Lane.FAST, Lane.CHECK, *([Lane.CLOUD] if cloud_allowed else []))


def flower_part(home: Home, stack: StackFile) -> ProcessPart:
    """Flower, with a password that is in a private file and never in argv."""
    port = int(stack.flower_url.rsplit(":", 1)[1])
    config = home.run / "flowerconfig.py"
    write_private(
        config,
        f"address = '127.0.0.1'\nport = {port}\nbasic_auth = ['{stack.flower_user}:{stack.flower_password}']\n"
        "tasks_columns = 'name,state,kwargs,result,received,runtime,worker'\n"
        f"purge_offline_workers = {PURGE_SECONDS}\n",
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


def ui_part(home: Home, stack: StackFile) -> ProcessPart:
    """The live page; what opens it is in the stack file, never in argv."""
    return ProcessPart(
        name="ui",
        argv=[sys.executable, "-m", "workers.ui.server"],
        home=home,
        port=urlsplit(stack.ui_url).port,
        address=stack.ui_url,
        probe=lambda pid: answers(f"{stack.ui_url}/health"),
    )


def metrics_part(home: Home, stack: StackFile) -> ProcessPart:
    """What Prometheus scrapes; its login is in the stack file."""
    port = urlsplit(stack.metrics_url).port
    return ProcessPart(
        name="metrics",
        argv=[sys.executable, "-m", "workers.cli.main", "metrics", f"--port={port}"],
        home=home,
        port=port,
        address=f"{stack.metrics_url}/metrics",
        probe=lambda pid: answers(f"{stack.metrics_url}/health"),
    )


def engine_status(home: Home, worker: PartStatus, fault: str) -> PartStatus:
    """The status of the engine, which is a child of the worker; it outlives a killed worker and the next adopts it.
    `fault` is what the worker says of it."""
    record, why, warning = read_record(home), fault or read_failure(home, "engine"), read_warning(home, "engine")
    if record is None:  # an endpoint of somebody else's has no process here: as well as its worker
        health = worker.health if worker.health != "ok" or not why else "starting"
        return PartStatus(name="engine", pid=None, port=None, address=None, health=health, warning=warning, why=why)
    process = record.process
    if not process.alive:
        return PartStatus(name="engine", pid=None, port=record.port, address=None, health="down", why=why)
    healthy = answers(f"http://127.0.0.1:{record.port}/health")
    return PartStatus(
        name="engine",
        pid=process.pid,
        port=record.port,
        address=record.url,
        health="ok" if healthy else "starting",
        started=process.started,
        why=why,
    )


def stop_all(parts: Sequence[ProcessPart]) -> None:
    """Sends TERM to all at once, since each takes a second or more to end, and KILL to what remains of their trees."""
    living = [part.child for part in parts if part.child is not None and part.child.poll() is None]
    records = []
    for child in living:
        with contextlib.suppress(PartFailed):  # it has ended meanwhile
            records.append(Recorded.of(child.pid))
    end_trees(records, seconds=STOP_SECONDS)
    for child in living:
        child.wait()
