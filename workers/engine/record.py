"""The running engine as it is written down in `run/engine.json`, and how to end it with all its processes.

vLLM's API server, its EngineCore and its workers are one session of the kernel. Where the API server alone is
killed the others go on and hold the memory (seen with 0.32): so the session is ended, not the process.
"""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass

import psutil

from workers.home import Home, write_private
from workers.process import Recorded

STOP_SECONDS = 15.0
KILL_SECONDS = 5.0
# Psutil's start times differ by up to a clock tick between readings.
CLOCK_SECONDS = 1.0
# Marks an engine's processes, so that one is found whose start was cut off before it was written down.
MARK = "REDRAFT_ENGINE_OF"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRecord:
    """One engine. `pid` leads its session; `ready`: it has answered its canary; `start_time` in epoch seconds."""

    pid: int
    start_time: float
    port: int
    url: str
    profile: str
    model: str
    argv_hash: str
    version: str = ""
    attention: str = ""
    ready: bool = False

    @property
    def process(self) -> Recorded:
        """The API server."""
        return Recorded(pid=self.pid, started=self.start_time)


def read_record(home: Home) -> EngineRecord | None:
    """What is written down, None where nothing (or nothing readable) is."""
    try:
        return EngineRecord(**json.loads((home.run / "engine.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_record(home: Home, record: EngineRecord) -> None:
    """Writes it down in one step."""
    write_private(home.run / "engine.json", json.dumps(dataclasses.asdict(record)))


def forget_record(home: Home) -> None:
    """No engine is running."""
    (home.run / "engine.json").unlink(missing_ok=True)


def end_recorded(home: Home, seconds: float = STOP_SECONDS) -> None:
    """Ends the engine that is written down, and any that a cut-off start left unrecorded. Harmless where none is."""
    record = read_record(home)
    if record is not None:
        end_session(record.process, seconds)
    for stray in strays(home):
        end_session(stray, seconds)
    forget_record(home)


def members(leader: Recorded) -> list[psutil.Process]:
    """The living processes of the session that `leader` began, whether or not it lives itself.

    A pid is not given away while a session of that number has members, so only a leader with another
    start time means that the number is somebody else's by now.
    """
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) != leader.pid or process.status() == psutil.STATUS_ZOMBIE:
                continue
            born = process.create_time()
        except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            continue
        if process.pid == leader.pid and abs(born - leader.started) > CLOCK_SECONDS:
            return []
        if born >= leader.started - CLOCK_SECONDS:
            found.append(process)
    return found


def end_session(leader: Recorded, seconds: float = STOP_SECONDS) -> None:
    """TERM to the leader (to everyone where it is gone), then KILL to whoever is left after `seconds`."""
    family = members(leader)
    first = [process for process in family if process.pid == leader.pid] or family
    for process in first:
        _signal(process, terminate=True)
    psutil.wait_procs(family, timeout=seconds)
    left = members(leader)
    for process in left:
        _signal(process, terminate=False)
    psutil.wait_procs(left, timeout=KILL_SECONDS)


def strays(home: Home) -> list[Recorded]:
    """The leaders of this home's engines, by the mark in their sessions' environment.

    A process that sets its own title (EngineCore) has no readable environment any more, but others beside it have.
    """
    wanted, found = str(home.root), dict[int, Recorded]()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == wanted:
                leader = os.getsid(process.pid)
                found[leader] = Recorded(pid=leader, started=_born(leader))
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue
    return list(found.values())


def _born(leader: int) -> float:
    """When a session's leader was started; 0 where it is gone: then everyone in the session came later."""
    try:
        return psutil.Process(leader).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def _signal(process: psutil.Process, *, terminate: bool) -> None:
    try:
        process.terminate() if terminate else process.kill()
    except psutil.NoSuchProcess:
        return
