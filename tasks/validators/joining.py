"""Two sandboxed processes that communicate: the pipes between them, the folder that they share, and the second one,
which runs in a thread beside the first.

Must not know their messages, nor how either is confined.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Protocol

from tasks.heartbeat import StoppableHeartbeat
from tasks.ports import Heartbeat
from tasks.types import SandboxResult
from tasks.validators.folders import make_open


class _ServedProcessEnded(Exception):
    """The process that this one served has ended."""


class PendingRun(Protocol):
    """A run that has not started yet."""

    def __call__(self, heartbeat: Heartbeat, started: Callable[[], None]) -> SandboxResult:
        """Runs to the end; calls `started` once the process has inherited its descriptors."""


def joining_pipes(stack: ExitStack, numbers: Sequence[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Pipes between two processes. Returns, for each process, our descriptors by the `numbers` that they get in it;
    `numbers` alternate between reading and writing. `stack` closes them."""
    first_fds: dict[int, int] = {}
    second_fds: dict[int, int] = {}
    for reading, writing in zip(numbers[::2], numbers[1::2], strict=True):
        first_fds[reading], second_fds[writing] = os.pipe()
        second_fds[reading], first_fds[writing] = os.pipe()
        for fd in (first_fds[reading], second_fds[writing], second_fds[reading], first_fds[writing]):
            stack.callback(os.close, fd)
    return first_fds, second_fds


@contextmanager
def exchange_folder(parent: Path, uid: int | None) -> Iterator[Path]:
    """A folder that only `uid` may use, deleted with its contents at the end of the context."""
    make_open(parent)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        if uid is not None:
            os.chown(folder, uid, uid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_overfull(folder: Path, limit_bytes: int, limit_files: int) -> bool:
    """Whether a folder contains more than these limits, which nothing else enforces on the host's disk."""
    used_bytes = files = 0
    pending = [str(folder)]
    while pending and used_bytes <= limit_bytes and files <= limit_files:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                files += 1
                with suppress(OSError):
                    used_bytes += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return used_bytes > limit_bytes or files > limit_files


class Companion(AbstractContextManager["Companion"]):
    """Runs a process in a thread until the context ends."""

    def __init__(self, run: PendingRun) -> None:
        self._started, self._stop = threading.Event(), threading.Event()
        self._result: Future[SandboxResult | None] = Future()
        self._thread = threading.Thread(target=self._run, args=(run,), name="sandbox-companion")

    def __enter__(self) -> Companion:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_until_started(self) -> None:
        """Waits until the process has inherited its descriptors. Raises the error if it could not start."""
        self._started.wait()
        if self._result.done():
            self._result.result()

    def result(self) -> SandboxResult:
        """The result of the run, after the context has ended. Raises what the run raised."""
        result = self._result.result()
        return result or SandboxResult(exit_code=0, stdout="", stderr="", seconds=0.0)

    def _run(self, run: PendingRun) -> None:
        try:
            with suppress(_ServedProcessEnded):
                self._result.set_result(run(StoppableHeartbeat(self._stop, _ServedProcessEnded()), self._started.set))
                return
            self._result.set_result(None)
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            self._result.set_exception(error)
        finally:
            self._started.set()
