"""The sandbox: what a model wrote runs here under bubblewrap, or not at all.

No network, none of our environment, a read-only system without home folders or this project, temporary
file systems of bounded size, no capability, no further namespace; limits on wall time, CPU, memory,
processes, output and files over the whole tree. Must not know what a check means.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from tasks.errors import SandboxUnavailable
from tasks.heartbeat import SilentHeartbeat
from tasks.ports import Heartbeat
from tasks.types import JOINED, SandboxJob, SandboxResult
from tasks.validators import cgroup
from tasks.validators.confinement import (
    FILES,
    HOME,
    MOUNTED_AT,
    TEMPORARY,
    TEMPORARY_BYTES,
    Placed,
    confined,
    system_files,
)
from tasks.validators.joining import Companion, exchange_folder, is_overfull, joining_pipes
from tasks.validators.obstacles import explained
from tasks.validators.packages import BUILD_SECONDS, IMPORT_ALL, NamedRuntimes
from tasks.validators.process import Conversation, Process, Stream, first_pid, program_exit_code
from tasks.validators.runtime import Runtime, default_runtime_folder, ensure
from tasks.validators.slots import unprivileged_uid
from tasks.validators.syscalls import filter_program
from tasks.validators.watcher import Ceiling, Watcher

__all__ = ["BubblewrapSandbox", "default_runtime_folder", "diagnose"]

LOOK_SECONDS = 0.02  # between two looks at memory: a process can touch some 50 MB in that time
PULSE_SECONDS = 0.25
STARTING_SECONDS = 10.0  # what a loaded machine may need to set namespaces up, and to end a tree
BUILDING_SECONDS = 120.0
# Output beyond what is kept is thrown away; so far beyond, nobody means it.
OUTPUT_KILL_FACTOR, OUTPUT_KILL_BYTES = 64, 2**20
_KEPT_BYTES = {"report": 4 * 2**20, "status": 2**16}
_PLACED_FROM = 40  # descriptors 0-9 and `JOINED` are the program's, 10 and 11 bwrap's own
_STATUS, _FILTER = 10, 11


class BubblewrapSandbox:
    """`tasks.ports.Sandbox` on bubblewrap. `folder` keeps the runtime (see `default_runtime_folder`), which
    is built at the first run. Threads and processes may share a folder. Over its time limit a job may use
    the CPU time of `cpu_cores` cores: engines need the others. `programs` run at once, by default one a core: more
    turns are in flight than that, and a limit on wall time is unfair to a program without a core."""

    def __init__(self, folder: Path, cpu_cores: float = 1.0, programs: int = 0) -> None:
        self._folder, self._cpu_cores = folder, cpu_cores
        self._places = threading.BoundedSemaphore(programs or max(2, os.cpu_count() or 1))
        self._runtime: Runtime | None = None

    def run(self, job: SandboxJob, heartbeat: Heartbeat) -> SandboxResult:
        """Runs `job` and gives back what came of it, whatever it did.

        Raises `SandboxUnavailable` where the sandbox cannot start or lacks `job.runtime`, `ValueError` for a file
        name that leaves the job's folder, and what `heartbeat.check()` raises: then the whole tree has been killed.
        """
        return self._run(self._runtime_of(job, heartbeat), job, heartbeat)

    def _run(self, runtime: Runtime, job: SandboxJob, heartbeat: Heartbeat) -> SandboxResult:
        with self._place(heartbeat), self._uid(heartbeat) as uid:
            heartbeat.expect_silence(job.timeout_seconds + STARTING_SECONDS)
            return Run(runtime, job, uid, self._cpu_cores).result(heartbeat)

    def run_joined(
        self, job: SandboxJob, other: SandboxJob, heartbeat: Heartbeat
    ) -> tuple[SandboxResult, SandboxResult]:
        """Runs `job`, and `other` as long as that lasts, joined by pipes. Both have limits, a uid and a namespace of
        their own. Raises as `run` does."""
        runtime = self._runtime_of(job, heartbeat)
        with self._place(heartbeat), self._uid(heartbeat) as uid, ExitStack() as stack:
            # One uid where they share files; namespaces keep them apart in everything else.
            other_uid = uid if job.exchange else stack.enter_context(self._uid(heartbeat))
            exchange = stack.enter_context(exchange_folder(self._folder / "exchange", uid)) if job.exchange else None
            pipes = stack.enter_context(ExitStack())
            ours, theirs = joining_pipes(pipes, JOINED)
            heartbeat.expect_silence(job.timeout_seconds + STARTING_SECONDS)
            run = Run(runtime, job, uid, self._cpu_cores, ours, exchange)
            companion = Companion(Run(runtime, other, other_uid, self._cpu_cores, theirs, exchange).result)
            with companion:
                companion.wait_until_started()
                # Closed here as soon as both have their ends: then each sees the end of the other.
                result = run.result(heartbeat, pipes.close)
            return result, companion.result()

    @contextmanager
    def _uid(self, heartbeat: Heartbeat) -> Iterator[int | None]:
        """Whom root becomes in the sandbox; None for an ordinary user."""
        if os.geteuid() != 0:
            yield None
            return
        with unprivileged_uid(self._folder / "uids", heartbeat) as uid:
            yield uid

    @contextmanager
    def _place(self, heartbeat: Heartbeat) -> Iterator[None]:
        while not self._places.acquire(timeout=PULSE_SECONDS):
            heartbeat.check()
            heartbeat.beat()  # it waits for others, whose time is limited
        try:
            yield
        finally:
            self._places.release()

    def runtime(self, heartbeat: Heartbeat) -> Runtime:
        """The interpreter of the sandbox, built where it is missing. Raises `SandboxUnavailable`."""
        if self._runtime is None or not self._runtime.root.is_dir():
            heartbeat.expect_silence(BUILDING_SECONDS)
            self._runtime = ensure(self._folder, self._verify)
        return self._runtime

    def _runtime_of(self, job: SandboxJob, heartbeat: Heartbeat) -> Runtime:
        runtime = self.runtime(heartbeat)
        if not job.runtime:
            return runtime
        heartbeat.expect_silence(BUILD_SECONDS)  # the first time
        return replace(runtime, packages=NamedRuntimes(self._folder).ensure(job.runtime))

    def verify_packages(self, folder: Path, names: Sequence[str]) -> None:
        """That each of the distributions `names` in `folder` can be imported inside. Raises `SandboxUnavailable`."""
        runtime = replace(self.runtime(SilentHeartbeat()), packages=folder)
        argv = ("python", "-P", "-s", "-c", IMPORT_ALL, *names)
        result = self._run(runtime, SandboxJob(argv=argv, timeout_seconds=120, memory_mb=2048), SilentHeartbeat())
        if result.exit_code:
            last = (result.stderr.strip() or f"{result.killed or 'exit code'} {result.exit_code}").splitlines()[-1]
            raise SandboxUnavailable(f"{', '.join(names)} cannot be imported in the sandbox: {last}")

    def _verify(self, runtime: Runtime) -> None:
        """That the copied interpreter runs inside, with its packages."""
        program = f"import sys; sys.path.insert(0, '{{}}'); import {{}}; sys.stdout.write({_FINE!r})"
        modules = {"pytest": "ssl, sqlite3, ctypes, pytest", "math": "math_verify", "schema": "jsonschema"}
        for folder, module in modules.items():
            source = program.format(f"{MOUNTED_AT}/{folder}", module)
            job = SandboxJob(argv=("python", "-P", "-s", "-c", source), timeout_seconds=60, memory_mb=1024)
            uid = None if os.geteuid() != 0 else _BUILDER_UID
            result = Run(runtime, job, uid, self._cpu_cores).result(SilentHeartbeat())
            if result.stdout != _FINE:
                last = (result.stderr.strip() or f"exit code {result.exit_code}").splitlines()[-1]
                raise SandboxUnavailable(f"this Python does not run in the sandbox ({module}): {last}")


_FINE = "fine"
_BUILDER_UID = 60999  # beside the slots: the lock on the build is held


def diagnose(folder: Path) -> str | None:
    """None where the sandbox works here; else why not and what to allow, for `redraft doctor`."""
    sandbox = BubblewrapSandbox(folder)
    try:
        result = sandbox.run(SandboxJob(argv=("python", "-c", f"print({_FINE!r})")), SilentHeartbeat())
    except SandboxUnavailable as error:
        return str(error)
    return None if result.stdout.strip() == _FINE else f"the sandbox started, but a program failed: {result.stderr}"


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
