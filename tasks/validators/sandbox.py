"""The sandbox: model-written code runs here under bubblewrap, or not at all.

It has no network, none of our environment, a read-only system without home folders or this project, temporary file
systems of limited size, no capabilities and no further namespaces. Wall time, CPU, memory, processes, output and files
of the whole process tree are limited. Must not know what a check means.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tasks.errors import SandboxUnavailable
from tasks.heartbeat import SilentHeartbeat
from tasks.ports import Heartbeat
from tasks.types import JOINED, SandboxJob, SandboxResult
from tasks.validators.confinement import RUNTIME_MOUNT
from tasks.validators.cores import cores
from tasks.validators.joining import Companion, exchange_folder, joining_pipes
from tasks.validators.orphans import end_orphans
from tasks.validators.packages import BUILD_SECONDS as PACKAGES_BUILD_SECONDS
from tasks.validators.packages import IMPORT_ALL, NamedRuntimes
from tasks.validators.runtime import Runtime, default_runtime_folder, ensure
from tasks.validators.sandboxrun import HEARTBEAT_SECONDS, Run
from tasks.validators.slots import unprivileged_uid
from tasks.validators.toolchains import TOOLCHAINS, require

__all__ = ["BubblewrapSandbox", "default_runtime_folder", "diagnose"]

START_SECONDS = 10.0  # what a loaded machine may need to set namespaces up, and to end a tree
BUILD_SECONDS = 120.0


class BubblewrapSandbox:
    """Implements `tasks.ports.Sandbox` with bubblewrap. Threads and processes may share a folder.

    Parameters: `folder` contains the runtime (see `default_runtime_folder`), which is built at the first run.
    `cpu_cores`: a job may use the CPU time of this many cores during its time limit, since engines need the others.
    `programs` is how many run at once, by default one a core: there are more turns than cores, and a limit on wall time
    would be unfair to a program without a core.
    """

    def __init__(self, folder: Path, cpu_cores: float = 1.0, programs: int = 0) -> None:
        self._folder, self._cpu_cores = folder, cpu_cores
        self._slots = threading.BoundedSemaphore(programs or max(2, os.cpu_count() or 1))
        self._runtime: Runtime | None = None

    def run(self, job: SandboxJob, heartbeat: Heartbeat) -> SandboxResult:
        """Runs `job` and returns its result, whatever it did.

        Raises `SandboxUnavailable` where the sandbox cannot start or lacks `job.runtime`, `ValueError` for a file
        name that leaves the job's folder, and what `heartbeat.check()` raises: then the whole tree has been killed.
        """
        return self._run(self._runtime_of(job, heartbeat), job, heartbeat)

    def _run(self, runtime: Runtime, job: SandboxJob, heartbeat: Heartbeat) -> SandboxResult:
        with self._slot(heartbeat, exclusive=job.exclusive), self._uid(heartbeat) as uid:
            heartbeat.expect_silence(job.timeout_seconds + START_SECONDS)
            return Run(runtime, job, uid, self._cpu_cores).result(heartbeat)

    def run_joined(
        self, job: SandboxJob, other: SandboxJob, heartbeat: Heartbeat
    ) -> tuple[SandboxResult, SandboxResult]:
        """Runs `job`, and `other` until `job` ends, joined by pipes. Each has its own limits, uid and namespace. Raises
        what `run` raises."""
        runtime = self._runtime_of(job, heartbeat)
        with self._slot(heartbeat), self._uid(heartbeat) as uid, ExitStack() as stack:
            # They need the same uid to share files; namespaces isolate them in everything else.
            other_uid = uid if job.exchange else stack.enter_context(self._uid(heartbeat))
            exchange = stack.enter_context(exchange_folder(self._folder / "exchange", uid)) if job.exchange else None
            pipes = stack.enter_context(ExitStack())
            first_fds, second_fds = joining_pipes(pipes, JOINED)
            heartbeat.expect_silence(job.timeout_seconds + START_SECONDS)
            run = Run(runtime, job, uid, self._cpu_cores, first_fds, exchange)
            companion = Companion(Run(runtime, other, other_uid, self._cpu_cores, second_fds, exchange).result)
            with companion:
                companion.wait_until_started()
                # Our copies are closed once both have inherited theirs, so that each sees when the other ends.
                result = run.result(heartbeat, pipes.close)
            return result, companion.result()

    @contextmanager
    def _uid(self, heartbeat: Heartbeat) -> Iterator[int | None]:
        """The uid to which root switches in the sandbox; None for an ordinary user."""
        if os.geteuid() != 0:
            yield None
            return
        with unprivileged_uid(self._folder / "uids", heartbeat) as uid:
            yield uid

    @contextmanager
    def _slot(self, heartbeat: Heartbeat, *, exclusive: bool = False) -> Iterator[None]:
        while not self._slots.acquire(timeout=HEARTBEAT_SECONDS):
            heartbeat.check()
            heartbeat.beat()  # waiting for other programs is progress, since their time is limited
        end_orphans()
        try:
            with cores(self._folder / "cores", heartbeat, exclusive=exclusive):
                yield
        finally:
            self._slots.release()

    def runtime(self, heartbeat: Heartbeat) -> Runtime:
        """The sandbox's interpreter, built where it is missing. Raises `SandboxUnavailable`."""
        if self._runtime is None or not self._runtime.root.is_dir():
            heartbeat.expect_silence(BUILD_SECONDS)
            self._runtime = ensure(self._folder, self._verify)
        return self._runtime

    def _runtime_of(self, job: SandboxJob, heartbeat: Heartbeat) -> Runtime:
        runtime = self.runtime(heartbeat)
        if not job.runtime:
            return runtime
        named = NamedRuntimes(self._folder)
        if job.runtime in TOOLCHAINS and job.runtime not in named.names():
            require(job.runtime)
            return runtime
        heartbeat.expect_silence(PACKAGES_BUILD_SECONDS)  # it is built at the first use
        return replace(runtime, packages=named.ensure(job.runtime))

    def verify_packages(self, folder: Path, names: Sequence[str]) -> None:
        """Checks that the distributions `names` in `folder` can be imported inside. Raises `SandboxUnavailable`."""
        runtime = replace(self.runtime(SilentHeartbeat()), packages=folder)
        argv = ("python", "-P", "-s", "-c", IMPORT_ALL, *names)
        result = self._run(runtime, SandboxJob(argv=argv, timeout_seconds=120, memory_mb=2048), SilentHeartbeat())
        if result.exit_code:
            last = (result.stderr.strip() or f"{result.killed or 'exit code'} {result.exit_code}").splitlines()[-1]
            raise SandboxUnavailable(f"{', '.join(names)} cannot be imported in the sandbox: {last}")

    def _verify(self, runtime: Runtime) -> None:
        """Checks that the copied interpreter and its packages work inside. Raises `SandboxUnavailable`."""
        program = f"import sys; sys.path.insert(0, '{{}}'); import {{}}; sys.stdout.write({_OK_OUTPUT!r})"
        modules = {"pytest": "ssl, sqlite3, ctypes, pytest", "math": "math_verify", "schema": "jsonschema"}
        for folder, module in modules.items():
            source = program.format(f"{RUNTIME_MOUNT}/{folder}", module)
            job = SandboxJob(argv=("python", "-P", "-s", "-c", source), timeout_seconds=60, memory_mb=1024)
            uid = None if os.geteuid() != 0 else _BUILDER_UID
            result = Run(runtime, job, uid, self._cpu_cores).result(SilentHeartbeat())
            if result.stdout != _OK_OUTPUT:
                last = (result.stderr.strip() or f"exit code {result.exit_code}").splitlines()[-1]
                raise SandboxUnavailable(f"this Python does not run in the sandbox ({module}): {last}")


_OK_OUTPUT = "fine"
_BUILDER_UID = 60999  # none of the slots' uids; the lock on the build is held


def diagnose(folder: Path) -> str | None:
    """None where the sandbox works here; otherwise why not and what to allow, for `redraft doctor`."""
    sandbox = BubblewrapSandbox(folder)
    try:
        result = sandbox.run(SandboxJob(argv=("python", "-c", f"print({_OK_OUTPUT!r})")), SilentHeartbeat())
    except SandboxUnavailable as error:
        return str(error)
    return (
        None if result.stdout.strip() == _OK_OUTPUT else f"the sandbox started, but a program failed: {result.stderr}"
    )
