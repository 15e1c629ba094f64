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
    Placed,
    confined,
    system_files,
)
from tasks.validators.joining import is_overfull
from tasks.validators.obstacles import explained
from tasks.validators.process import Conversation, Process, Stream, first_pid, program_exit_code
from tasks.validators.runtime import Runtime
from tasks.validators.syscalls import filter_program
from tasks.validators.watcher import Ceiling, Watcher

LOOK_SECONDS = 0.02  # between two looks at memory: a process can touch some 50 MB in that time
PULSE_SECONDS = 0.25
# Output beyond what is kept is thrown away; so far beyond, nobody means it.
OUTPUT_KILL_FACTOR, OUTPUT_KILL_BYTES = 64, 2**20
_KEPT_BYTES = {"report": 4 * 2**20, "status": 2**16}
_PLACED_FROM = 40  # descriptors 0-9 and `JOINED` are the program's, 10 and 11 bwrap's own
_STATUS, _FILTER = 10, 11


class Run:
    """One run: its descriptors, its process, its limits."""

    def __init__(
        self,
        runtime: Runtime,
        job: SandboxJob,
        uid: int | None,
        cpu_cores: float,
        joined: Mapping[int, int] | None = None,
        exchange: Path | None = None,
    ) -> None:
        self._runtime, self._job, self._uid, self._joined = runtime, job, uid, joined or {}
        self._exchange = exchange
        self._cpu_seconds = job.timeout_seconds * cpu_cores + 1
        self.stack = ExitStack()
        self._limit: str | None = None
        self._group: Path | None = None
        self._watcher: Watcher | None = None
        self._began = self._next_pulse = 0.0

    def result(self, heartbeat: Heartbeat, started: Callable[[], None] = lambda: None) -> SandboxResult:
        """`started` is called when the process has been given its descriptors."""
        with self.stack:
            streams, stdin, process = self.start()
            started()
            conversation = Conversation(process, streams, stdin, self._job.stdin)
            self.stack.callback(conversation.close)
            try:
                conversation.hold(LOOK_SECONDS, lambda: self._must_end(streams, heartbeat))
            finally:
                streams["status"].pull()
                process.kill(first_pid(streams["status"].content()))
            conversation.drain()
            if self._limit is None and self._group and cgroup.out_of_memory(self._group):
                self._limit = "memory"
            if self._limit is None and too_much(streams):  # however fast it was: the same output, the same verdict
                self._limit = "output"
            return self._told(streams, process)

    def start(self) -> tuple[dict[str, Stream], int, Process]:
        """Our ends of its pipes, its standard input, and its process; `stack` gives all of it back."""
        job = self._job
        theirs: dict[int, int] = {}
        streams: dict[str, Stream] = {}
        numbers = {"stdout": 1, "stderr": 2, "status": _STATUS}
        if job.report_fd is not None:
            if not 3 <= job.report_fd < _STATUS:
                raise ValueError(f"report_fd must be 3 to {_STATUS - 1}, not {job.report_fd}")
            numbers["report"] = job.report_fd
        for name, number in numbers.items():
            ours, theirs[number] = os.pipe()
            self.stack.callback(os.close, ours)
            streams[name] = Stream(handle=ours, keep=_KEPT_BYTES.get(name, job.output_bytes))
        theirs[0], stdin = os.pipe()
        theirs |= {number: os.dup(handle) for number, handle in self._joined.items()}
        placed = self._place(theirs)
        program = filter_program()
        if program is not None:
            theirs[_FILTER] = _file_of(program)
        command = confined(
            self._runtime,
            job.argv,
            placed=placed,
            memory_bytes=job.memory_mb * 2**20,
            timeout_seconds=job.timeout_seconds,
            processes=job.processes,
            status_handle=_STATUS,
            filter_handle=None if program is None else _FILTER,
            uid=self._uid,
            exchange=self._exchange,
        )
        try:
            command = self._in_group(command)
            self._began = time.monotonic()
            process = Process(command, theirs)
        except BaseException as error:
            os.close(stdin)
            if isinstance(error, OSError):
                raise SandboxUnavailable(f"the sandbox cannot start: {error}") from error
            raise
        finally:
            for handle in theirs.values():
                os.close(handle)
        self.stack.callback(process.close)
        return streams, stdin, process

    def _in_group(self, command: list[str]) -> list[str]:
        place = cgroup.find_place()
        if place is None:
            return command
        values = cgroup.limits(self._job.memory_mb * 2**20, self._job.processes)
        self._group = self.stack.enter_context(cgroup.group(place, values))
        return [*cgroup.joining(self._group), *command]

    def _place(self, theirs: dict[int, int]) -> list[Placed]:
        files: dict[str, bytes] = dict(system_files())
        files.update(_files_in_home(self._job.files))
        placed = []
        for number, (path, content) in enumerate(files.items(), _PLACED_FROM):
            theirs[number] = _file_of(content)
            placed.append(Placed(path=path, handle=number))
        return placed

    def _must_end(self, streams: Mapping[str, Stream], heartbeat: Heartbeat) -> bool:
        """One look: raises what the heartbeat raises, True where a limit is broken."""
        now = time.monotonic()
        if now >= self._next_pulse:
            heartbeat.check()
            self._next_pulse = now + PULSE_SECONDS
        if now - self._began > self._job.timeout_seconds:
            self._limit = "wall"
        elif too_much(streams):
            self._limit = "output"
        elif self._exchange and is_overfull(self._exchange, TEMPORARY_BYTES, FILES):
            self._limit = "files"
        else:
            self._limit = self._usage_limit(streams["status"])
        return self._limit is not None

    def _usage_limit(self, status: Stream) -> str | None:
        if self._watcher is None:
            first = first_pid(status.content())
            if first is None:
                return None
            ceiling = Ceiling(
                memory_bytes=self._job.memory_mb * 2**20,
                cpu_seconds=self._cpu_seconds,
                tasks=self._job.processes,
                files=FILES,
            )
            self._watcher = Watcher(first, ceiling, TEMPORARY)
        return self._watcher.broken_limit()

    def _told(self, streams: Mapping[str, Stream], process: Process) -> SandboxResult:
        code = program_exit_code(streams["status"].content())
        stderr = streams["stderr"].content().decode(errors="replace")
        if code is None and self._limit is None:
            if process.exit_code is not None and process.exit_code >= 0:
                raise SandboxUnavailable(explained(stderr, rooted=self._uid is not None))
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


def too_much(streams: Mapping[str, Stream]) -> bool:
    """Whether so much was written that nobody means it."""
    return any(stream.total > max(stream.keep * OUTPUT_KILL_FACTOR, OUTPUT_KILL_BYTES) for stream in streams.values())


def _files_in_home(files: Mapping[str, str | bytes]) -> dict[str, bytes]:
    placed = {}
    for name, content in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(f"a file of a sandbox job must lie in its folder, not at {name!r}")
        placed[f"{HOME}/{path}"] = content.encode() if isinstance(content, str) else content
    return placed


def _file_of(content: bytes) -> int:
    """A descriptor from which `content` can be read once."""
    handle = os.memfd_create("placed", os.MFD_CLOEXEC)
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]
    os.lseek(handle, 0, os.SEEK_SET)
    return handle
