"""An engine as a supervised child: started or adopted, watched, restarted when it dies or hangs."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shlex
import threading
import time
from pathlib import Path
from typing import TextIO

import structlog

from tasks.errors import EngineFault, PartFailed, RedraftError
from tasks.taskrecords import NO_RECORD, TaskRecord
from workers.backoff import pause_seconds
from workers.engine.backend import Backend, Installation
from workers.engine.building import Say
from workers.engine.child import EngineChild, adopt_child, engine_environment, start_child
from workers.engine.diagnostics import PORT_TAKEN
from workers.engine.hardware import Gpu
from workers.engine.health import CANARY_EVERY_SECONDS, EngineHealth, HealthState
from workers.engine.load import EngineLoad
from workers.engine.outage import Outage, Outages
from workers.engine.placement import Choice
from workers.engine.prefill import PromptSlots
from workers.engine.probe import canary, fetch
from workers.engine.progress import Progress
from workers.engine.record import (
    STOP_SECONDS,
    EngineRecord,
    cpu_seconds,
    end_recorded,
    forget_record,
    read_record,
    write_record,
)
from workers.engine.weights import fingerprint
from workers.home import Home, free_port, write_private

log = structlog.get_logger()

# Loading 75 GB from a slow disk, compiling, capturing graphs.
START_SECONDS = 1800.0
# An adopted engine that was ready before must answer within this time, or it is restarted.
ADOPT_SECONDS = 20.0
WATCH_SECONDS = 2.0
PORT_TRIES = 3
LONGEST_PAUSE_SECONDS = 60.0
# One that has run this long was started well: its next end is the first in a row.
WELL_AFTER_SECONDS = 120.0
# An engine that is given up has nothing to finish.
ILL_STOP_SECONDS = 2.0


class EngineServer:
    """Implements `ModelHost` with a child process.

    The child has a session of its own and survives a killed worker. The next worker adopts it if its command is the
    same, so that recovery takes seconds and not the minutes of loading a model. Only one process at a time manages the
    engine of a home.
    """

    def __init__(
        self,
        choice: Choice,
        backend: Backend,
        *,
        home: Home,
        cache: Path,
        say: Say,
        watch_seconds: float = WATCH_SECONDS,
        canary_every_seconds: float = CANARY_EVERY_SECONDS,
    ) -> None:
        self.profile, self.model = choice.profile, choice.profile.name
        self._choice, self._home, self._cache, self._say = choice, home, cache, say
        self._backend, self.capabilities = backend, backend.capabilities
        self._watch_seconds, self._canary_every_seconds = watch_seconds, canary_every_seconds
        self._argv_hash, self._version, self._attention, self._weights, self._port = "", "", "", "", 0
        self._child: EngineChild | None = None
        self._lock: TextIO | None = None
        self._changing = threading.Lock()  # a child is being started or ended, never both
        self._ready, self._stopping, self._outages = threading.Event(), threading.Event(), Outages()
        self._watch_stopping = threading.Event()

    @property
    def sequences(self) -> int:
        """Its --max-num-seqs, or --parallel."""
        return self._choice.max_num_seqs

    @property
    def ready(self) -> bool:
        """Whether its last health check succeeded."""
        return self._ready.is_set()

    @property
    def outage(self) -> Outage | None:
        """See `ModelHost.outage`."""
        return self._outages.now

    @property
    def restarts(self) -> int:
        """See `ModelHost.restarts`."""
        return self._outages.restarts

    @property
    def slots(self) -> PromptSlots | None:
        """See `ModelHost.slots`."""
        return self._backend.slots(self._choice, self._root, self._home)

    @property
    def url(self) -> str:
        """Ends in /v1; a restarted engine listens on the same port."""
        return f"{self._root}/v1"

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The cards that it runs on."""
        return self._choice.gpus

    @property
    def pid(self) -> int | None:
        """The pid of the API server, which is its session too."""
        return self._child.process.pid if self._child else None

    def describe(self) -> str:
        """Engine and version, profile, a hash of the weights, the attention backend, and the engine's flags."""
        engine = f"{self.profile.engine} {self._version} {self.profile.name} weights {self._weights}"
        return f"{engine} attention {self._attention or 'unsaid'} argv {shlex.join(self._backend.flags(self._choice))}"

    def start(self) -> None:
        """Returns when the canary was answered right. Raises `PartFailed`, `EngineFault`."""
        self._home.make()
        self._lock = _lock_home(self._home)
        try:
            self._launch_first()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the child and all its descendants."""
        self._stopping.set()
        self._ready.clear()
        self._end()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def health(self) -> HealthState:
        """The engine's state: its process, /health, and one canary since its last start."""
        if not self._is_alive():
            return "down"
        return "ok" if self.ready and self._answers() else "starting"

    @property
    def _root(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def _report(self, line: str) -> None:
        self._say(line)
        write_private(self._home.run / "engine-progress", line)

    def _launch_first(self) -> None:
        """Launches the engine; tries another port where the chosen one was taken meanwhile, since nobody knows the
        address yet."""
        for remaining in reversed(range(PORT_TRIES)):
            try:
                self._launch()
                return
            except EngineFault as fault:
                if not remaining or PORT_TAKEN.meaning not in str(fault):
                    raise
                self._port = 0

    def _launch(self) -> None:
        installation = self._backend.prepare(self._choice, self._cache, self._report)
        identity = (
            self._backend.command(self._choice, installation, 0),
            sorted(self.profile.env.items()),
            self._choice.gpus,
        )
        self._argv_hash = hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest()[:12]
        if not self._adopt():
            child = self._spawn(installation)
            try:
                self._wait(START_SECONDS)
            except EngineFault:
                self._end()
                raise
            self._attention = self._backend.attention(self._choice, child.said())
        self._version = self._backend.version(self._root)
        self._weights = fingerprint(self.profile, installation.model)
        self._write_record(ready=True)
        self._report(f"{self.profile.name} answers")
        self._ready.set()

    def _adopt(self) -> bool:
        """Adopts a healthy engine with the same command and ends any other of this home; returns whether it did."""
        record = read_record(self._home)
        if record is not None and record.argv_hash == self._argv_hash and record.process.alive:
            self._report(f"adopting the running {self.profile.name}")
            self._port, self._child = record.port, adopt_child(record.process, home=self._home)
            self._attention = record.attention
            try:
                self._wait(ADOPT_SECONDS if record.ready else START_SECONDS)
                return True
            except EngineFault as fault:
                if self._must_stop:
                    raise
                log.warning("the engine that was left is not well", why=str(fault))
                self._port = 0
        end_recorded(self._home)
        self._child = None
        return False

    def _spawn(self, installation: Installation) -> EngineChild:
        with self._changing:
            if self._must_stop:
                raise EngineFault("the engine was told to stop")
            self._port = self._port or free_port()
            argv = self._backend.command(self._choice, installation, self._port)
            environment = engine_environment(
                self._choice, backend=self._backend, installation=installation, home=self._home
            )
            child = self._child = start_child(argv, environment, home=self._home)
            self._write_record(ready=False)
        self._report(f"starting {self.profile.name}")
        return child

    def _write_record(self, *, ready: bool) -> None:
        if self._child is not None:
            record = EngineRecord(
                pid=self._child.process.pid,
                start_time=self._child.process.started,
                port=self._port,
                url=self.url,
                profile=self.profile.name,
                model=self.model,
                argv_hash=self._argv_hash,
                version=self._version,
                attention=self._attention,
                engine=self.profile.engine,
                ready=ready,
            )
            write_record(self._home, record)

    def _wait(self, seconds: float) -> None:
        """Waits until it answers, canary included. Raises `EngineFault` with the likely cause."""
        deadline = time.monotonic() + seconds
        while not self._answers():
            child = self._child
            if self._must_stop or child is None:
                raise EngineFault("the engine was told to stop")
            if not child.alive:
                raise EngineFault(child.explain())
            if time.monotonic() > deadline:
                raise EngineFault(f"{self.profile.name} did not answer within {seconds:g} s")
            time.sleep(0.25)
        self._ask_canary()

    def _ask_canary(self, seconds: float = 120.0) -> None:
        prompt, pattern = self.profile.canary_prompt, self.profile.canary_pattern
        canary(self.url, self.model, prompt=prompt, pattern=pattern, seconds=seconds)

    def _check(self) -> None:
        fetch(f"{self._root}/health")

    def _answers(self) -> bool:
        try:
            self._check()
        except EngineFault:
            return False
        return True

    def load(self) -> EngineLoad | None:
        """What it reports of its load; None where it doesn't answer."""
        return self._backend.load(self._choice, self._root)

    def _counted(self) -> float | None:
        load = self.load()
        return load.tokens + load.steps if load else None

    def _cpu_seconds(self) -> float:
        return cpu_seconds(self._child.process) if self._child else 0.0

    def _health(self) -> EngineHealth:
        return EngineHealth(
            self._check,
            self._ask_canary,
            self._counted,
            progress=Progress(self.load, None if self._choice.gpus else self._cpu_seconds),
            canary_every_seconds=self._canary_every_seconds,
        )

    def watch(self, stop: threading.Event, record: TaskRecord = NO_RECORD) -> None:
        """Starts the engine again when it dies or hangs, with longer pauses when that happens in a row."""
        self._watch_stopping = stop
        try:
            self._watch(stop, record)
        finally:
            self._ready.clear()

    @property
    def _must_stop(self) -> bool:
        return self._stopping.is_set() or self._watch_stopping.is_set()

    def _watch(self, stop: threading.Event, record: TaskRecord) -> None:
        started, health, ends = time.monotonic(), self._health(), 0
        while not stop.wait(self._watch_seconds):
            problem = self._problem(health)
            record.succeeded()
            if problem is None:
                self._ready.set()
                self._outages.ends()
                continue
            if not (self._outages.now and self._child is None):  # that it is not running now is no news
                self._outages.fails(problem)
            self._ready.clear()  # no new work after the first failed check; running work goes on
            if self._is_alive() and not health.given_up:
                continue
            log.warning("the engine is started again", profile=self.profile.name, why=problem)
            self._end(ILL_STOP_SECONDS)
            ends = 1 if time.monotonic() - started > WELL_AFTER_SECONDS else ends + 1
            if stop.wait(pause_seconds(ends, longest=LONGEST_PAUSE_SECONDS)):
                return
            started = time.monotonic()
            self._outages.restarted()
            try:
                self._launch()
            except RedraftError as error:
                self._outages.fails(str(error))
                if not self._must_stop:
                    log.warning("the engine did not start", why=str(error))
            health = self._health()

    def _is_alive(self) -> bool:
        return self._child is not None and self._child.alive

    def _problem(self, health: EngineHealth) -> str | None:
        """What is wrong with the engine, None where it is healthy."""
        child = self._child
        if child is None:
            return "it is not running"
        child.trim_log()
        return health.look() if child.alive else child.explain()

    def _end(self, seconds: float = STOP_SECONDS) -> None:
        with self._changing:
            if self._child is not None:
                self._child.end(seconds)
                self._child = None
                forget_record(self._home)


def _lock_home(home: Home) -> TextIO:
    """Locks this home's engine for this process, which alone may start and end it. Raises `PartFailed`."""
    lock = (home.run / "engine.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise PartFailed(
            f"another process looks after the engine of {home.root}; stop it, or use another home"
        ) from None
    return lock
