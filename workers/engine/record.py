"""The record of the running engine in `run/engine.json`, and how to end the engine with all its processes.

vLLM's API server, its EngineCore and its workers are one session of the kernel. If the API server alone is killed, the
others go on and keep the memory (seen with 0.32), so the whole session is ended.
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
# Marks an engine's processes, to find one whose start was interrupted before it was recorded.
MARK = "REDRAFT_ENGINE_OF"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineRecord:
    """One engine, by its kind (`engine`). `pid` leads its session; `ready`: it has answered its canary; `start_time` in
    epoch seconds."""

    pid: int
    start_time: float
    port: int
    url: str
    profile: str
    model: str
    argv_hash: str
    version: str = ""
    attention: str = ""
    engine: str = ""
    ready: bool = False

    @property
    def process(self) -> Recorded:
        """The API server."""
        return Recorded(pid=self.pid, started=self.start_time)


def read_record(home: Home) -> EngineRecord | None:
    """The record, None where there is no readable one."""
    try:
        return EngineRecord(**json.loads((home.run / "engine.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_record(home: Home, record: EngineRecord) -> None:
    """Writes the record atomically."""
    write_private(home.run / "engine.json", json.dumps(dataclasses.asdict(record)))


def forget_record(home: Home) -> None:
    """Removes the record: no engine is running."""
    (home.run / "engine.json").unlink(missing_ok=True)


def end_recorded(home: Home, seconds: float = STOP_SECONDS) -> None:
    """Ends the recorded engine, and any that an interrupted start left unrecorded; does nothing where there is none."""
    record = read_record(home)
    if record is not None:
        end_session(record.process, seconds)
    for stray in strays(home):
        end_session(stray, seconds)
    forget_record(home)


def members(leader: Recorded) -> list[psutil.Process]:
    """The living processes of the session of `leader`, whether or not the leader itself lives.

    The kernel does not reuse a pid while a session with that number has members. So if a process with the leader's pid
    has another start time, the session has ended and the pid belongs to another process.
    """
    processes = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) != leader.pid or process.status() == psutil.STATUS_ZOMBIE:
                continue
            start_time = process.create_time()
        except (psutil.NoSuchProcess, ProcessLookupError, PermissionError):
            continue
        if process.pid == leader.pid and abs(start_time - leader.started) > CLOCK_SECONDS:
            return []
        if start_time >= leader.started - CLOCK_SECONDS:
            processes.append(process)
    return processes


def cpu_seconds(leader: Recorded) -> float:
    """The processor time that the session of `leader` has used, without the processes that have ended."""
    used = 0.0
    for process in members(leader):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        used += times.user + times.system
    return used


def end_session(leader: Recorded, seconds: float = STOP_SECONDS) -> None:
    """Sends TERM to the leader (to all where it has ended), then KILL to those that remain after `seconds`."""
    processes = members(leader)
    recipients = [process for process in processes if process.pid == leader.pid] or processes
    for process in recipients:
        _signal(process, terminate=True)
    psutil.wait_procs(processes, timeout=seconds)
    remaining = members(leader)
    for process in remaining:
        _signal(process, terminate=False)
    psutil.wait_procs(remaining, timeout=KILL_SECONDS)


def strays(home: Home) -> list[Recorded]:
    """The session leaders of this home's engines, found by the mark in their processes' environment.

    A process that sets its own title (EngineCore) has no readable environment any more, but others of its session have.
    """
    home_path, leaders = str(home.root), dict[int, Recorded]()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == home_path:
                leader = os.getsid(process.pid)
                leaders[leader] = Recorded(pid=leader, started=_start_time(leader))
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue
    return list(leaders.values())


def _start_time(leader: int) -> float:
    """The start time of a session's leader; 0, before all members of the session, where the leader has ended."""
    try:
        return psutil.Process(leader).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def _signal(process: psutil.Process, *, terminate: bool) -> None:
    try:
        process.terminate() if terminate else process.kill()
    except psutil.NoSuchProcess:
        return
