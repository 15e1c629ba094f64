"""One run of a program in the sandbox: its pipes and files, the conversation with it, and how it ended.

Must not know slots, runtimes, nor what a check means.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path, PurePosixPath

from tasks.errors import SandboxUnavailable
from tasks.ports import Heartbeat
from tasks.types import SandboxJob, SandboxResult
from tasks.validators import cgroup
from tasks.validators.confinement import (
    FILES,
    HOME,
    TEMPORARY,
    TEMPORARY_BYTES,
    MountedFile,
    confined,
    system_files,
)
from tasks.validators.joining import is_overfull
from tasks.validators.obstacles import explain
from tasks.validators.process import Communication, Process, Stream, first_pid, program_exit_code
from tasks.validators.runtime import Runtime
from tasks.validators.syscalls import filter_program
from tasks.validators.watcher import ResourceLimits, Watcher

CHECK_SECONDS = 0.02  # between two looks at memory: a process can touch some 50 MB in that time
HEARTBEAT_SECONDS = 0.25
# Output beyond what is kept is thrown away; so far beyond, nobody means it.
OUTPUT_KILL_FACTOR, OUTPUT_KILL_BYTES = 64, 2**20
_LIMIT_BYTES = {"report": 4 * 2**20, "status": 2**16}
_FIRST_FILE_FD = 40  # descriptors 0-9 and `JOINED` are the program's, 10 and 11 bwrap's own
_STATUS_FD, _FILTER_FD = 10, 11


class Run:
    """One run of a sandboxed program: its descriptors, its process and its limits."""

    def __init__(
        self,
        runtime: Runtime,
        job: SandboxJob,
        uid: int | None,
        cpu_cores: float,
        joined_fds: Mapping[int, int] | None = None,
        exchange: Path | None = None,
    ) -> None:
        self._runtime, self._job, self._uid, self._joined_fds = runtime, job, uid, joined_fds or {}
        self._exchange = exchange
        self._cpu_seconds = job.timeout_seconds * cpu_cores + 1
        self.stack = ExitStack()
        self._limit: str | None = None
        self._group: Path | None = None
        self._watcher: Watcher | None = None
        self._began = self._next_heartbeat = 0.0

    def result(self, heartbeat: Heartbeat, started: Callable[[], None] = lambda: None) -> SandboxResult:
        """Runs the program to its end; calls `started` once the process has inherited its descriptors."""
        with self.stack:
            streams, stdin, process = self.start()
            started()
            communication = Communication(process, streams, stdin, self._job.stdin)
            self.stack.callback(communication.close)
            try:
                communication.run(CHECK_SECONDS, lambda: self._should_stop(streams, heartbeat))
            finally:
                streams["status"].read_available()
                process.kill(first_pid(streams["status"].content()))
            communication.drain()
            if self._limit is None and self._group and cgroup.out_of_memory(self._group):
                self._limit = "memory"
            if self._limit is None and exceeds_output_limit(
                streams
            ):  # however fast it wrote: the same output gets the same verdict
                self._limit = "output"
            return self._result(streams, process)

    def start(self) -> tuple[dict[str, Stream], int, Process]:
        """Starts the process. Returns our ends of its pipes, its standard input, and the process; `stack` releases
        them."""
        job = self._job
        child_fds: dict[int, int] = {}
        streams: dict[str, Stream] = {}
        numbers = {"stdout": 1, "stderr": 2, "status": _STATUS_FD}
        if job.report_fd is not None:
            if not 3 <= job.report_fd < _STATUS_FD:
                raise ValueError(f"report_fd must be 3 to {_STATUS_FD - 1}, not {job.report_fd}")
            numbers["report"] = job.report_fd
        for name, number in numbers.items():
            fd, child_fds[number] = os.pipe()
            self.stack.callback(os.close, fd)
            streams[name] = Stream(fd=fd, limit_bytes=_LIMIT_BYTES.get(name, job.output_bytes))
        child_fds[0], stdin = os.pipe()
        child_fds |= {number: os.dup(fd) for number, fd in self._joined_fds.items()}
        mounted = self._mount_files(child_fds)
        program = filter_program()
        if program is not None:
            child_fds[_FILTER_FD] = _memory_fd(program)
        command = confined(
            self._runtime,
            job.argv,
            mounted=mounted,
            memory_bytes=job.memory_mb * 2**20,
            timeout_seconds=job.timeout_seconds,
            processes=job.processes,
            status_fd=_STATUS_FD,
            filter_fd=None if program is None else _FILTER_FD,
            uid=self._uid,
            exchange=self._exchange,
        )
        try:
            command = self._in_group(command)
            self._began = time.monotonic()
            process = Process(command, child_fds)
        except BaseException as error:
            os.close(stdin)
            if isinstance(error, OSError):
                raise SandboxUnavailable(f"the sandbox cannot start: {error}") from error
            raise
        finally:
            for fd in child_fds.values():
                os.close(fd)
        self.stack.callback(process.close)
        return streams, stdin, process

    def _in_group(self, command: list[str]) -> list[str]:
        parent = cgroup.find_parent()
        if parent is None:
            return command
        values = cgroup.limits(self._job.memory_mb * 2**20, self._job.processes)
        self._group = self.stack.enter_context(cgroup.group(parent, values))
        return [*cgroup.joining(self._group), *command]

    def _mount_files(self, child_fds: dict[int, int]) -> list[MountedFile]:
        files: dict[str, bytes] = dict(system_files())
        files.update(_files_in_home(self._job.files))
        mounted = []
        for number, (path, content) in enumerate(files.items(), _FIRST_FILE_FD):
            child_fds[number] = _memory_fd(content)
            mounted.append(MountedFile(path=path, fd=number))
        return mounted

    def _should_stop(self, streams: Mapping[str, Stream], heartbeat: Heartbeat) -> bool:
        """Checks once whether a limit is exceeded. Raises what the heartbeat raises."""
        now = time.monotonic()
        if now >= self._next_heartbeat:
            heartbeat.check()
            self._next_heartbeat = now + HEARTBEAT_SECONDS
        if now - self._began > self._job.timeout_seconds:
            self._limit = "wall"
        elif exceeds_output_limit(streams):
            self._limit = "output"
        elif self._exchange and is_overfull(self._exchange, TEMPORARY_BYTES, FILES):
            self._limit = "files"
        else:
            self._limit = self._usage_limit(streams["status"])
        return self._limit is not None

    def _usage_limit(self, status: Stream) -> str | None:
        if self._watcher is None:
            root = first_pid(status.content())
            if root is None:
                return None
            limits = ResourceLimits(
                memory_bytes=self._job.memory_mb * 2**20,
                cpu_seconds=self._cpu_seconds,
                tasks=self._job.processes,
                files=FILES,
            )
            self._watcher = Watcher(root, limits, TEMPORARY)
        return self._watcher.exceeded_limit()

    def _result(self, streams: Mapping[str, Stream], process: Process) -> SandboxResult:
        code = program_exit_code(streams["status"].content())
        stderr = streams["stderr"].content().decode(errors="replace")
        if code is None and self._limit is None:
            if process.exit_code is not None and process.exit_code >= 0:
                raise SandboxUnavailable(explain(stderr, as_root=self._uid is not None))
            code = process.exit_code
        if code == _CPU_EXCEEDED and self._limit is None:
            self._limit = "cpu"
        report = streams["report"].content() if "report" in streams else b""
        return SandboxResult(
            exit_code=_KILLED if code is None else code,
            stdout=streams["stdout"].content().decode(errors="replace"),
            stderr=stderr,
            seconds=time.monotonic() - self._began,
            killed=self._limit,
            report=report,
        )


_KILLED = 137  # 128 + SIGKILL, as a shell and bwrap would say
_CPU_EXCEEDED = 152  # 128 + SIGXCPU


def exceeds_output_limit(streams: Mapping[str, Stream]) -> bool:
    """Whether a program wrote far more output than any useful one does."""
    return any(
        stream.total > max(stream.limit_bytes * OUTPUT_KILL_FACTOR, OUTPUT_KILL_BYTES) for stream in streams.values()
    )


def _files_in_home(files: Mapping[str, str | bytes]) -> dict[str, bytes]:
    mounted = {}
    for name, content in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"a file of a sandbox job must lie in its folder, not at {name!r}")
        mounted[f"{HOME}/{path}"] = content.encode() if isinstance(content, str) else content
    return mounted


def _memory_fd(content: bytes) -> int:
    """A descriptor from which `content` can be read once."""
    fd = os.memfd_create("placed", os.MFD_CLOEXEC)
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[os.write(fd, remaining) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
