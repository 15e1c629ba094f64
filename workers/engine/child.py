"""One run of an engine: started in a session of its own, with its log. Knows nothing of health or restarts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tasks.errors import PartFailed
from tasks.locations import child_environment
from workers.engine.backend import Backend, Installation
from workers.engine.diagnostics import explain, read_since
from workers.engine.placement import Choice
from workers.engine.record import MARK, STOP_SECONDS, end_session
from workers.home import Home
from workers.process import Recorded

# Two files of this size are kept: some days of an engine that logs its throughput every ten seconds.
LOG_BYTES = 32 * 1024 * 1024


class EngineChild:
    """A running engine, started by us or adopted. `popen` is None for an adopted one, which is no child of ours."""

    def __init__(self, process: Recorded, *, log: Path, log_start: int, popen: subprocess.Popen[bytes] | None) -> None:
        self.process = process
        self._log, self._log_start, self._popen = log, log_start, popen

    @property
    def alive(self) -> bool:
        """Whether its API server runs."""
        if self._popen is not None:
            self._popen.poll()
        return self.process.alive

    def said(self) -> str:
        """Its log since its start, or the end of the log where it was adopted."""
        return read_since(self._log, self._log_start)

    def explain(self) -> str:
        """Why it ended, and where its whole log is."""
        code = self._popen.returncode if self._popen else None
        return f"{explain(self.said(), exit_code=code)}\n(the whole log: {self._log})"

    def trim_log(self, most: int = LOG_BYTES) -> None:
        """Rotates a log larger than `most` bytes, while the engine goes on writing."""
        if rotate(self._log, most):
            self._log_start = 0

    def end(self, seconds: float = STOP_SECONDS) -> None:
        """Ends all its processes; they have `seconds` to end by themselves."""
        end_session(self.process, seconds)
        if self._popen is not None:
            self._popen.wait()


def engine_environment(choice: Choice, *, backend: Backend, installation: Installation, home: Home) -> dict[str, str]:
    """The child's environment: the user's, what its kind of engine needs, on the chosen GPUs."""
    environment = {**child_environment(home.root), **backend.environment(choice), MARK: str(home.root)}
    if choice.gpus:
        # NVML numbers GPUs in the order of the bus, CUDA by speed unless this is set.
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(str(gpu.index) for gpu in choice.gpus)
    environment.update(choice.profile.env)
    environment["PATH"] = f"{installation.folder}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return environment


def start_child(argv: Sequence[str], environment: Mapping[str, str], *, home: Home) -> EngineChild:
    """Starts the engine. Its session outlives a killed worker, and the next one adopts it. Raises `PartFailed`."""
    log = home.log / "engine.log"
    rotate(log)
    try:
        with log.open("ab") as output:
            start = output.tell()
            popen = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=home.root,
                env=dict(environment),
                start_new_session=True,
            )
    except OSError as error:
        raise PartFailed(f"the engine can't be started: {error}") from error
    return EngineChild(Recorded.of(popen.pid), log=log, log_start=start, popen=popen)


def rotate(log: Path, most: int = LOG_BYTES) -> bool:
    """Copies a log larger than `most` bytes to `NAME.1` and truncates it; returns whether it did.

    It is not renamed, since a running engine has it open for appending.
    """
    if not log.exists() or log.stat().st_size <= most:
        return False
    shutil.copyfile(log, log.with_name(f"{log.name}.1"))
    os.truncate(log, 0)
    return True


def adopt_child(process: Recorded, *, home: Home) -> EngineChild:
    """The engine that a killed worker left running."""
    log = home.log / "engine.log"
    return EngineChild(process, log=log, log_start=0, popen=None)
