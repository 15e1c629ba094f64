"""The sandbox with programs of our own kept waiting in it: an order that `inside/serve.py` answers costs a fork instead
of an interpreter and its imports.

Each order has the limits of a run of its own: wall time, CPU, memory and processes are watched over the whole sandbox,
and what breaks one takes the sandbox with it. Must not know what is compared.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tasks.ports import Heartbeat
from tasks.types import SandboxJob, SandboxResult
from tasks.validators.confinement import FILES, TEMPORARY
from tasks.validators.inside.serve import READY, SERVE
from tasks.validators.process import Conversation, Process, Stream, first_pid
from tasks.validators.runtime import Runtime
from tasks.validators.sandbox import STARTING_SECONDS, BubblewrapSandbox
from tasks.validators.sandboxrun import LOOK_SECONDS, PULSE_SECONDS, Run, too_much
from tasks.validators.slots import unprivileged_uid
from tasks.validators.watcher import Ceiling, Watcher, descendants

IDLE_SECONDS = 120.0
# A server is replaced after so many orders, whatever they did to it.
ORDERS = 500
# The imported packages and a child's work need so much; below it, each order runs alone, as its limit is then felt.
SERVED_MB = 256
WARMING_SECONDS = 30.0
_SERVER_CPU_SECONDS = 600.0  # its own, for imports and forks; each child gets its order's limit
_PACE_SECONDS = 0.005


class WarmSandbox(BubblewrapSandbox):
    """As `BubblewrapSandbox`, but a `servable` job is answered by a program that waits. `close` ends those; an idle one
    ends by itself after `idle_seconds`, and with the process that started it."""

    def __init__(
        self, folder: Path, cpu_cores: float = 1.0, programs: int = 0, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        super().__init__(folder, cpu_cores, programs)
        self._idle_seconds = idle_seconds
        self._idle: list[tuple[_Server, threading.Timer]] = []
        self._lock = threading.Lock()
        self._closed = False

    def run(self, job: SandboxJob, heartbeat: Heartbeat) -> SandboxResult:
        """As `BubblewrapSandbox.run`, and raises the same."""
        if job.servable and job.memory_mb >= SERVED_MB and not self._closed:
            runtime = self.runtime(heartbeat)
            with self._place(heartbeat):
                heartbeat.expect_silence(job.timeout_seconds + STARTING_SECONDS + WARMING_SECONDS)
                server = self._take(job) or _Server.started(runtime, self._folder, job, self._cpu_cores, heartbeat)
                result = server.answer(job, heartbeat) if server else None
                if server:
                    self._give_back(server)
            if result is not None:
                return result
        return super().run(job, heartbeat)

    def close(self) -> None:
        """Ends every program that waits; later jobs run alone."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for server, timer in idle:
            timer.cancel()
            server.close()

    @property
    def waiting(self) -> int:
        """How many programs wait for an order."""
        with self._lock:
            return len(self._idle)

    def _take(self, job: SandboxJob) -> _Server | None:
        with self._lock:
            for at, (server, timer) in enumerate(self._idle):
                if server.serves(job):
                    timer.cancel()
                    del self._idle[at]
                    return server
        return None

    def _give_back(self, server: _Server) -> None:
        timer = threading.Timer(self._idle_seconds, self._expire, [server])
        timer.daemon = True
        with self._lock:
            kept = server.is_sound and not self._closed
            if kept:
                self._idle.append((server, timer))
                timer.start()
        if not kept:
            server.close()

    def _expire(self, server: _Server) -> None:
        with self._lock:
            idle = [pair for pair in self._idle if pair[0] is server]
            self._idle = [pair for pair in self._idle if pair[0] is not server]
        if idle:  # otherwise it was taken meanwhile
            server.close()


class _Server:
    """One sandbox whose program waits for orders."""

    def __init__(self, job: SandboxJob, cpu_cores: float, stack: ExitStack, parts: _Parts) -> None:
        self._job, self._cpu_cores, self._stack = job, cpu_cores, stack
        self._streams, self._stdin, self._process = parts
        self._orders = self._processes = 0
        self.is_sound = False

    @classmethod
    def started(
        cls, runtime: Runtime, folder: Path, job: SandboxJob, cpu_cores: float, heartbeat: Heartbeat
    ) -> _Server | None:
        """One that is ready, or None. Raises `SandboxUnavailable` and what `heartbeat` raises."""
        stack = ExitStack()
        try:
            uid = stack.enter_context(unprivileged_uid(folder / "uids", heartbeat)) if os.geteuid() == 0 else None
            served = replace(job, argv=(*job.argv, SERVE), stdin=b"", timeout_seconds=_SERVER_CPU_SECONDS)
            run = stack.enter_context(_Opened(runtime, served, uid, cpu_cores))
            server = cls(job, cpu_cores, stack, run.parts)
            if server._is_ready(heartbeat):
                return server
        except BaseException:
            stack.close()
            raise
        server.close()
        return None

    def serves(self, job: SandboxJob) -> bool:
        """Whether it runs that program, in as much memory, and still waits."""
        mine = (self._job.argv, self._job.memory_mb, self._job.processes, self._job.files)
        return mine == (job.argv, job.memory_mb, job.processes, job.files) and not self._process.reap()

    def answer(self, job: SandboxJob, heartbeat: Heartbeat) -> SandboxResult | None:
        """What came of one order; None where the server had ended before. It is sound again where a child ended by
        itself and left nothing behind. Raises what `heartbeat` raises: then all of it has been killed."""
        self._orders, self.is_sound = self._orders + 1, False
        limits = {"bytes": len(job.stdin), "cpu_seconds": math.ceil(job.timeout_seconds) + 1}
        exchange = _Exchange(self._first, job, self._cpu_cores, self._fresh(), heartbeat)
        try:
            self._converse(exchange, json.dumps(limits).encode() + b"\n" + job.stdin)
        except BaseException:
            self.close()
            raise
        result = exchange.result(self._process)
        self.is_sound = exchange.status is not None and self._orders < ORDERS and self._is_alone()
        return result

    def close(self) -> None:
        """Ends the whole sandbox."""
        self._stack.close()

    @property
    def _first(self) -> int:
        return first_pid(self._streams["status"].content()) or self._process.pid

    def _fresh(self) -> dict[str, Stream]:
        return {name: Stream(handle=old.handle, keep=old.keep) for name, old in self._streams.items()}

    def _converse(self, exchange: _Exchange, data: bytes) -> None:
        conversation = Conversation(self._process, exchange.streams, os.dup(self._stdin), data)
        try:
            conversation.hold(_PACE_SECONDS, exchange.must_end)
        finally:
            conversation.close()
        if exchange.limit is not None:
            self._process.kill(self._first)
        conversation.drain()

    def _is_ready(self, heartbeat: Heartbeat) -> bool:
        deadline = time.monotonic() + WARMING_SECONDS

        def ready() -> bool:
            heartbeat.check()
            return READY in self._streams["stdout"].content() or time.monotonic() > deadline

        conversation = Conversation(self._process, self._streams, os.dup(self._stdin), b"")
        try:
            conversation.hold(LOOK_SECONDS, ready)
        finally:
            conversation.close()
        self._processes = len(list(descendants(self._first)))
        return READY in self._streams["stdout"].content()

    def _is_alone(self) -> bool:
        return len(list(descendants(self._first))) <= self._processes


class _Opened:
    """A sandboxed program with our ends of its pipes; killed whole and closed at the end."""

    def __init__(self, runtime: Runtime, job: SandboxJob, uid: int | None, cpu_cores: float) -> None:
        self._run = Run(runtime, job, uid, cpu_cores)

    def __enter__(self) -> _Opened:
        with ExitStack() as stack:
            stack.enter_context(self._run.stack)
            self.parts = self._run.start()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        streams, stdin, process = self.parts
        with self._run.stack:
            os.close(stdin)
            streams["status"].pull()
            process.kill(first_pid(streams["status"].content()))


class _Exchange:
    """One order: its limits, and what has come of it so far."""

    def __init__(
        self, first: int, job: SandboxJob, cpu_cores: float, streams: dict[str, Stream], heartbeat: Heartbeat
    ) -> None:
        self.streams, self.limit = streams, None
        self.status: int | None = None
        self._job, self._pulse = job, heartbeat
        self._began = self._next_look = self._next_pulse = time.monotonic()
        ceiling = Ceiling(memory_bytes=job.memory_mb * 2**20, cpu_seconds=math.inf, tasks=job.processes, files=FILES)
        used = Watcher(first, ceiling, TEMPORARY).usage().cpu_seconds
        ceiling = replace(ceiling, cpu_seconds=used + job.timeout_seconds * cpu_cores + 1)
        self._watcher = Watcher(first, ceiling, TEMPORARY)

    limit: str | None

    def must_end(self) -> bool:
        """One look: whether the child has ended, or a limit is broken. Raises what the heartbeat raises."""
        now = time.monotonic()
        if now >= self._next_pulse:
            self._pulse.check()
            self._next_pulse = now + PULSE_SECONDS
        line, newline, _ = self.streams["stdout"].content().partition(b"\n")
        if newline:
            self.status = int(line)
        elif now - self._began > self._job.timeout_seconds:
            self.limit = "wall"
        elif too_much(self.streams):
            self.limit = "output"
        elif now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self.limit = self._watcher.broken_limit()
        return self.status is not None or self.limit is not None

    def result(self, process: Process) -> SandboxResult | None:
        """None where the server ended without a word and no limit is broken."""
        if self.status is None and self.limit is None and not self.streams["report"].total:
            return None
        if self.limit is None and too_much(self.streams):
            self.limit = "output"
        status = self.status if self.status is not None else process.exit_code
        code = 137 if status is None else status if status >= 0 else 128 - status
        if code == 152 and self.limit is None:  # 128 + SIGXCPU
            self.limit = "cpu"
        return SandboxResult(
            exit_code=code,
            stdout="",
            stderr=self.streams["stderr"].content().decode(errors="replace"),
            seconds=time.monotonic() - self._began,
            killed=self.limit,
            report=self.streams["report"].content(),
        )


_Parts = tuple[Mapping[str, Stream], int, Process]
