"""The processes of a chaos run: a real Postgres and a real Valkey, stand-in engines, and the parts that a contestant
stands on them. Each worker and each relay reaches a service through a proxy of its own.

Knows how to start, hurt and end processes; knows nothing of jobs. Must be used from the main thread: what it starts
ends with the thread that started it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.chaos.proxy import Proxy
from tests.standin.engine import Mood, tell
from workers.home import Home, free_port
from workers.local.postgres import EmbeddedPostgres
from workers.local.valkey import EmbeddedValkey
from workers.process import spawn, tail

ROOT = Path(__file__).parents[2]
START_SECONDS = 90.0
END_SECONDS = 30.0
# A word of the stand-in engine: a call of five words takes a third of a second.
WORD_SECONDS = 0.06


@dataclass(slots=True, kw_only=True)
class Part:
    """One process that can be started again. `ready` is what it writes to its log when it can work; `links` are the
    proxies between it and the services."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    ready: str = ""
    folder: Path = ROOT
    links: Mapping[str, Proxy] = field(default_factory=dict)
    child: subprocess.Popen[bytes] | None = None
    _from: int = 0

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self.child is not None and self.child.poll() is None

    def start(self, **environment: str) -> None:
        """Starts it, with more environment where given; does not wait."""
        assert not self.alive, f"{self.name} runs already"
        self._from = self.log.stat().st_size if self.log.exists() else 0
        given = {**os.environ, "PYTHONWARNINGS": "ignore", **self.environment, **environment}
        self.child = spawn(self.argv, log=self.log, folder=self.folder, environment=given, death_signal="KILL")

    def wait(self) -> None:
        """Until it can work. Fails where it does not come up."""
        deadline = time.monotonic() + START_SECONDS
        while self.ready and self.ready not in self.said():
            assert self.alive, f"{self.name} ended:\n{tail(self.log)}"
            assert time.monotonic() < deadline, f"{self.name} does not come up:\n{tail(self.log)}"
            time.sleep(0.05)

    def said(self) -> str:
        """What it has written since it was started."""
        with self.log.open("rb") as file:
            file.seek(self._from)
            return file.read().decode(errors="replace")

    def send(self, number: signal.Signals) -> None:
        """A signal, where it still runs."""
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(number)

    def wake(self) -> None:
        """The end of a SIGSTOP."""
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """kill -9, and gone."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGKILL)
        if self.child is not None:
            self.child.wait()

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Told to end; killed where it does not within `END_SECONDS`."""
        self.send(number)
        if self.child is not None:
            try:
                self.child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()

    @property
    def stopped(self) -> bool:
        """Whether it stands still (SIGSTOP)."""
        return self.child is not None and psutil.Process(self.child.pid).status() == psutil.STATUS_STOPPED


class Services:
    """Postgres, Valkey and one stand-in engine for each worker, below `folder`."""

    def __init__(self, folder: Path, *, engines: int) -> None:
        self.folder = folder
        self.home = Home(root=folder)
        self.home.make()
        self.postgres, self.valkey = EmbeddedPostgres(self.home), EmbeddedValkey(self.home)
        self.engines = [self._engine(number) for number in range(engines)]

    def _engine(self, number: int) -> Part:
        port = free_port()
        argv = [sys.executable, "-m", "tests.standin.engine", str(port), "tests.chaos.workload:answer"]
        return Part(
            name=f"engine {number}",
            argv=[*argv, str(WORD_SECONDS)],
            environment={"CHAOS_PORT": str(port)},
            log=self.log(f"engine-{number}"),
        )

    def log(self, name: str) -> Path:
        """Where a part writes."""
        return self.home.log / f"{name}.log"

    def start(self) -> None:
        """All of them."""
        self.postgres.start()
        self.valkey.start()
        for engine in self.engines:
            engine.start()

    def stop(self) -> None:
        """Everything ends, and Postgres's folder outside the home goes."""
        for engine in self.engines:
            engine.kill()
        self.valkey.stop()
        self.postgres.stop()
        if self.home.postgres_folder().parent != self.home.root:
            shutil.rmtree(self.home.postgres_folder().parent, ignore_errors=True)


def port_of(engine: Part) -> int:
    """Where a stand-in engine listens."""
    return int(engine.environment["CHAOS_PORT"])


def mood(engine: Part, how: Mood) -> None:
    """Changes how a stand-in engine answers."""
    tell(port_of(engine), how)


@contextlib.contextmanager
def services(folder: Path, *, engines: int = 2) -> Iterator[Services]:
    """Running services, gone at the end."""
    made = Services(folder, engines=engines)
    try:
        made.start()
        yield made
    finally:
        made.stop()
