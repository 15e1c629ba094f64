"""Two sandboxed processes that speak with each other: the pipes between them, the folder that both write into, and
the one that runs beside.

Must not know what they say, nor how either is confined.
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

from tasks.heartbeat import SilentHeartbeat
from tasks.ports import Heartbeat
from tasks.types import SandboxResult
from tasks.validators.folders import make_open


class _Ended(Exception):
    """The process that this one served has ended."""


class Running(Protocol):
    """A run that is not begun yet."""

    def __call__(self, heartbeat: Heartbeat, started: Callable[[], None]) -> SandboxResult:
        """Runs to the end; calls `started` once the process has its descriptors."""


def joining_pipes(stack: ExitStack, numbers: Sequence[int]) -> tuple[dict[int, int], dict[int, int]]:
    """Pipes for two processes: for each, the descriptors here by their numbers there, reading and writing in turn.
    `stack` closes them."""
    ours: dict[int, int] = {}
    theirs: dict[int, int] = {}
    for reading, writing in zip(numbers[::2], numbers[1::2], strict=True):
        ours[reading], theirs[writing] = os.pipe()
        theirs[reading], ours[writing] = os.pipe()
        for handle in (ours[reading], theirs[writing], theirs[reading], ours[writing]):
            stack.callback(os.close, handle)
    return ours, theirs


@contextmanager
def exchange_folder(parent: Path, uid: int | None) -> Iterator[Path]:
    """A folder that `uid` alone may use, gone with all that is in it when the context is left."""
    make_open(parent)
    folder = Path(tempfile.mkdtemp(dir=parent))
    try:
        if uid is not None:
            os.chown(folder, uid, uid)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_overfull(folder: Path, most_bytes: int, most_files: int) -> bool:
    """Whether there is more in a folder: on the host's disk nothing else bounds it."""
    held = files = 0
    waiting = [str(folder)]
    while waiting and held <= most_bytes and files <= most_files:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                files += 1
                with suppress(OSError):
                    held += entry.stat(follow_symlinks=False).st_blocks * 512
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
    return held > most_bytes or files > most_files


class Companion(AbstractContextManager["Companion"]):
    """Runs beside, in a thread, until the context is left. Its first step is waited for with `wait_until_started`."""

    def __init__(self, running: Running) -> None:
        self._started, self._stop = threading.Event(), threading.Event()
        self._result: Future[SandboxResult | None] = Future()
        self._thread = threading.Thread(target=self._run, args=(running,), name="sandbox-companion")

    def __enter__(self) -> Companion:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait_until_started(self) -> None:
        """Until the process has its descriptors. Raises what kept it from that."""
        self._started.wait()
        if self._result.done():
            self._result.result()

    def result(self) -> SandboxResult:
        """What came of it, after the context. Raises what it raised."""
        result = self._result.result()
        return result or SandboxResult(exit_code=0, stdout="", stderr="", seconds=0.0)

    def _run(self, running: Running) -> None:
        try:
            with suppress(_Ended):
                self._result.set_result(running(_Stoppable(self._stop), self._started.set))
                return
            self._result.set_result(None)
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self._result.set_exception(error)
        finally:
            self._started.set()


class _Stoppable(SilentHeartbeat):
    """The heartbeat of a run that is no job's own."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop

    def check(self) -> None:
        if self._stop.is_set():
            raise _Ended
