"""A sandbox that keeps our own programs running in it as servers: a request that `inside/serve.py` answers costs a fork
instead of the start of an interpreter and its imports.

Each request has the limits of a separate run: wall time, CPU, memory and processes are watched over the whole sandbox,
and a request that exceeds one ends its sandbox. Must not know what is compared.
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
from tasks.validators.process import Communication, Process, Stream, first_pid
from tasks.validators.runtime import Runtime
from tasks.validators.sandbox import START_SECONDS, BubblewrapSandbox
from tasks.validators.sandboxrun import CHECK_SECONDS, HEARTBEAT_SECONDS, Run, exceeds_output_limit
from tasks.validators.slots import unprivileged_uid
from tasks.validators.watcher import ResourceLimits, Watcher, descendants

IDLE_SECONDS = 120.0
# A server is replaced after this many requests, whatever they did to it.
REQUESTS_PER_SERVER = 500
# The imported packages and a child's work need this much. With a lower limit each request runs in a sandbox of its own.
SERVED_MIN_MB = 256
WARM_UP_SECONDS = 30.0
_SERVER_CPU_SECONDS = 600.0  # the server's own, for imports and forks; each child gets its request's limit
_POLL_SECONDS = 0.005


class WarmSandbox(BubblewrapSandbox):
    """Like `BubblewrapSandbox`, but a waiting server answers a `servable` job. `close` ends the servers. An idle one
    ends after `idle_seconds`, or with the process that started it."""

    def __init__(
        self, folder: Path, cpu_cores: float = 1.0, programs: int = 0, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        super().__init__(folder, cpu_cores, programs)
        self._idle_seconds = idle_seconds
        self._idle: list[tuple[_Server, threading.Timer]] = []
        self._lock = threading.Lock()
        self._closed = False

    def run(self, job: SandboxJob, heartbeat: Heartbeat) -> SandboxResult:
        """Like `BubblewrapSandbox.run`, and raises the same."""
        if job.servable and job.memory_mb >= SERVED_MIN_MB and not self._closed:
            runtime = self.runtime(heartbeat)
            with self._slot(heartbeat):
                heartbeat.expect_silence(job.timeout_seconds + START_SECONDS + WARM_UP_SECONDS)
                server = self._take_idle(job) or _Server.started(runtime, self._folder, job, self._cpu_cores, heartbeat)
                result = server.answer(job, heartbeat) if server else None
                if server:
                    self._release(server)
            if result is not None:
                return result
        return super().run(job, heartbeat)

    def close(self) -> None:
        """Ends every waiting server; each later job runs in a sandbox of its own."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for server, timer in idle:
            timer.cancel()
            server.close()

    @property
    def waiting(self) -> int:
        """How many servers wait for a request."""
        with self._lock:
            return len(self._idle)

    def _take_idle(self, job: SandboxJob) -> _Server | None:
        with self._lock:
            for index, (server, timer) in enumerate(self._idle):
                if server.serves(job):
                    timer.cancel()
                    del self._idle[index]
                    return server
        return None

    def _release(self, server: _Server) -> None:
        timer = threading.Timer(self._idle_seconds, self._expire, [server])
        timer.daemon = True
        with self._lock:
            reuse = server.is_reusable and not self._closed
            if reuse:
                self._idle.append((server, timer))
                timer.start()
        if not reuse:
            server.close()

    def _expire(self, server: _Server) -> None:
        with self._lock:
            idle = [pair for pair in self._idle if pair[0] is server]
            self._idle = [pair for pair in self._idle if pair[0] is not server]
        if idle:  # otherwise a request took it meanwhile
            server.close()


class _Server:
    """One sandbox whose program waits for requests."""

    def __init__(self, job: SandboxJob, cpu_cores: float, stack: ExitStack, parts: _Parts) -> None:
        self._job, self._cpu_cores, self._stack = job, cpu_cores, stack
        self._streams, self._stdin, self._process = parts
        self._requests = self._processes = 0
        self.is_reusable = False

    @classmethod
    def started(
        cls, runtime: Runtime, folder: Path, job: SandboxJob, cpu_cores: float, heartbeat: Heartbeat
    ) -> _Server | None:
        """Starts a server; None where it did not get ready. Raises `SandboxUnavailable` and what `heartbeat` raises."""
        stack = ExitStack()
        try:
            uid = stack.enter_context(unprivileged_uid(folder / "uids", heartbeat)) if os.geteuid() == 0 else None
            server_job = replace(job, argv=(*job.argv, SERVE), stdin=b"", timeout_seconds=_SERVER_CPU_SECONDS)
            run = stack.enter_context(_RunningProgram(runtime, server_job, uid, cpu_cores))
            server = cls(job, cpu_cores, stack, run.parts)
            if server._is_ready(heartbeat):
                return server
        except BaseException:
            stack.close()
            raise
        server.close()
        return None

    def serves(self, job: SandboxJob) -> bool:
        """Whether it runs the job's program with the same limits and has not ended."""
        own = (self._job.argv, self._job.memory_mb, self._job.processes, self._job.files)
        return own == (job.argv, job.memory_mb, job.processes, job.files) and not self._process.reap()

    def answer(self, job: SandboxJob, heartbeat: Heartbeat) -> SandboxResult | None:
        """The result of one request; None where the server had ended before. The server is reusable if the child ended
        by itself, within its limits, and left no process behind. Raises what `heartbeat` raises, after everything has
        been killed."""
        self._requests, self.is_reusable = self._requests + 1, False
        child_limits = {"bytes": len(job.stdin), "cpu_seconds": math.ceil(job.timeout_seconds) + 1}
        request = _Request(self._root_pid, job, self._cpu_cores, self._new_streams(), heartbeat)
        try:
            self._communicate(request, json.dumps(child_limits).encode() + b"\n" + job.stdin)
        except BaseException:
            self.close()
            raise
        result = request.result(self._process)
        ended = request.status is not None and request.limit is None
        self.is_reusable = ended and self._requests < REQUESTS_PER_SERVER and self._is_alone()
        return result

    def close(self) -> None:
        """Ends the whole sandbox."""
        self._stack.close()

    @property
    def _root_pid(self) -> int:
        return first_pid(self._streams["status"].content()) or self._process.pid

    def _new_streams(self) -> dict[str, Stream]:
        return {name: Stream(fd=old.fd, limit_bytes=old.limit_bytes) for name, old in self._streams.items()}

    def _communicate(self, request: _Request, data: bytes) -> None:
        communication = Communication(self._process, request.streams, os.dup(self._stdin), data)
        try:
            communication.run(_POLL_SECONDS, request.should_stop)
        finally:
            communication.close()
        if request.limit is not None:
            self._process.kill(self._root_pid)
        communication.drain()

    def _is_ready(self, heartbeat: Heartbeat) -> bool:
        deadline = time.monotonic() + WARM_UP_SECONDS

        def ready() -> bool:
            heartbeat.check()
            return READY in self._streams["stdout"].content() or time.monotonic() > deadline

        communication = Communication(self._process, self._streams, os.dup(self._stdin), b"")
        try:
            communication.run(CHECK_SECONDS, ready)
        finally:
            communication.close()
        self._processes = len(list(descendants(self._root_pid)))
        return READY in self._streams["stdout"].content()

    def _is_alone(self) -> bool:
        return len(list(descendants(self._root_pid))) <= self._processes


class _RunningProgram:
    """A sandboxed program with our ends of its pipes; at the end its tree is killed and they are closed."""

    def __init__(self, runtime: Runtime, job: SandboxJob, uid: int | None, cpu_cores: float) -> None:
        self._run = Run(runtime, job, uid, cpu_cores)

    def __enter__(self) -> _RunningProgram:
        with ExitStack() as stack:
            stack.enter_context(self._run.stack)
            self.parts = self._run.start()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        streams, stdin, process = self.parts
        with self._run.stack:
            os.close(stdin)
            streams["status"].read_available()
            process.kill(first_pid(streams["status"].content()))


class _Request:
    """One request: its limits, and its state so far."""

    def __init__(
        self, root_pid: int, job: SandboxJob, cpu_cores: float, streams: dict[str, Stream], heartbeat: Heartbeat
    ) -> None:
        self.streams, self.limit = streams, None
        self.status: int | None = None
        self._job, self._heartbeat = job, heartbeat
        self._began = self._next_check = self._next_heartbeat = time.monotonic()
        limits = ResourceLimits(
            memory_bytes=job.memory_mb * 2**20, cpu_seconds=math.inf, tasks=job.processes, files=FILES
        )
        used = Watcher(root_pid, limits, TEMPORARY).usage().cpu_seconds
        limits = replace(limits, cpu_seconds=used + job.timeout_seconds * cpu_cores + 1)
        self._watcher = Watcher(root_pid, limits, TEMPORARY)

    limit: str | None

    def should_stop(self) -> bool:
        """Checks once whether the child has ended or a limit is exceeded. Raises what the heartbeat raises."""
        now = time.monotonic()
        if now >= self._next_heartbeat:
            self._heartbeat.check()
            self._next_heartbeat = now + HEARTBEAT_SECONDS
        line, newline, _ = self.streams["stdout"].content().partition(b"\n")
        if newline:
            self.status = int(line)
        elif now - self._began > self._job.timeout_seconds:
            self.limit = "wall"
        elif exceeds_output_limit(self.streams):
            self.limit = "output"
        elif now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            self.limit = self._watcher.exceeded_limit()
        return self.status is not None or self.limit is not None

    def result(self, process: Process) -> SandboxResult | None:
        """The result; None where the server ended without an answer and no limit is exceeded."""
        if self.status is None and self.limit is None and not self.streams["report"].total:
            return None
        if self.limit is None and exceeds_output_limit(self.streams):
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
            # Whoever broke a limit may have written before it was stopped.
            report=b"" if self.limit is not None else self.streams["report"].content(),
        )


_Parts = tuple[Mapping[str, Stream], int, Process]
