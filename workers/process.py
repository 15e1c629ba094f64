"""Processes that are recorded across restarts, by pid and start time: a pid alone may belong to another process by
now."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from tasks.errors import PartFailed

STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A process by pid and start time (seconds since the epoch)."""

    pid: int
    started: float

    @staticmethod
    def of(pid: int) -> Recorded:
        """The running process `pid`. Raises `PartFailed` where it has ended already."""
        try:
            return Recorded(pid=pid, started=psutil.Process(pid).create_time())
        except psutil.NoSuchProcess as error:
            raise PartFailed(f"process {pid} ended at once") from error

    def find(self) -> psutil.Process | None:
        """The process, None where it has ended (a zombie counts as ended)."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.started) > 1 or process.status() == psutil.STATUS_ZOMBIE:
                return None
        except psutil.NoSuchProcess:
            return None
        return process

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.find() is not None


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    folder: Path,
    environment: Mapping[str, str],
    ids: tuple[int, int] | None = None,
    death_signal: str = "TERM",
) -> subprocess.Popen[bytes]:
    """Starts a part that ends with its supervisor (PR_SET_PDEATHSIG), its output appended to `log`.

    Must be called from the main thread: the kernel sends the death signal when the thread that forked ends.
    Raises `PartFailed` where util-linux's setpriv is missing.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise PartFailed("setpriv is missing; install util-linux")
    drop = [f"--reuid={ids[0]}", f"--regid={ids[1]}", "--clear-groups"] if ids else []
    with log.open("ab") as output:
        return subprocess.Popen(
            [setpriv, "--pdeathsig", death_signal, *drop, "--", *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )


def end_tree(record: Recorded, *, seconds: float = STOP_SECONDS, stop_signal: signal.Signals = signal.SIGTERM) -> None:
    """Sends `stop_signal` to a process, and KILL to it and all its descendants that remain after `seconds`."""
    end_trees([record], seconds=seconds, stop_signal=stop_signal)


def end_trees(
    records: Sequence[Recorded], *, seconds: float = STOP_SECONDS, stop_signal: signal.Signals = signal.SIGTERM
) -> None:
    """The same of several processes at once, so that they end beside each other."""
    found = [process for record in records if (process := record.find()) is not None]
    processes = [*found, *(child for process in found for child in _descendants(process))]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(stop_signal)
    _, remaining = psutil.wait_procs(processes, timeout=seconds)
    for member in remaining:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(remaining, timeout=5)


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192), os.SEEK_SET)
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
