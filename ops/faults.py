"""What the soak does to a running local stack, and to whom: one process, killed, stopped for a while, or told to end.

Knows the stack's records (who is who), and nothing of jobs.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil

from workers import stackfile
from workers.engine.record import members, read_record
from workers.home import Home
from workers.local import stack

# Parts of `redraft status` that are hit by their pid; `memory` only where the stack has it.
PARTS = ("worker", "relay", "valkey", "postgres", "memory")
# Longer than a lease (15 s), so that a stopped worker finds its jobs with another holder or none.
STOP_SECONDS = (16.0, 24.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """`part` is a part of the stack, `owner`, `core` (the engine's own child), `session` (one of Postgres's) or
    `nothing`; `how` is kill (-9), stop (SIGSTOP, SIGCONT after `seconds`) or term."""

    part: str
    how: str
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """As the table shows it."""
        return f"{self.part}.{self.how}" if self.how else self.part


# `nothing` is the control: how long the same measurement takes when nothing was done.
KINDS = (
    *(f"{part}.{how}" for part in (*PARTS, "engine", "owner") for how in ("kill", "stop", "term")),
    "core.kill",
    "session.kill",
    "nothing",
)


def sequence(chance: random.Random, kinds: Sequence[str]) -> Iterator[Fault]:
    """Faults without end: every kind once, shuffled, then again. The same `chance` gives the same sequence."""
    while True:
        for name in chance.sample(list(kinds), len(kinds)):
            part, _, how = name.partition(".")
            yield Fault(part=part, how=how, seconds=chance.uniform(*STOP_SECONDS) if how == "stop" else 0.0)


def victims(home: Home, fault: Fault) -> list[psutil.Process]:
    """The processes a fault hits now; none where that part does not run or the stack has no such part."""
    pids: list[int] = []
    match fault.part:
        case "nothing":
            return []
        case "owner":
            found = stackfile.read(home.root)
            pids = [found.supervisor_pid] if found else []
        case "engine" | "core":
            record = read_record(home)
            family = members(record.process) if record else []
            others = [process.pid for process in family if record and process.pid != record.pid]
            pids = others[:1] if fault.part == "core" else [p.pid for p in family]
            if fault.part == "engine" and fault.how != "stop" and record:
                pids = [record.pid]
        case "session":
            server = _part(home, "postgres")
            with contextlib.suppress(psutil.NoSuchProcess):
                children = psutil.Process(server).children() if server else []
                pids = [child.pid for child in children if "redraft" in " ".join(child.cmdline())][:1]
        case _:
            pid = _part(home, fault.part)
            pids = [pid] if pid else []
    found_processes = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            found_processes.append(psutil.Process(pid))
    return found_processes


def inflict(fault: Fault, hit: Sequence[psutil.Process], stopping: threading.Event) -> None:
    """Does it; returns when it is done, for a stop after its seconds (or `stopping`): never leaves one stopped."""
    number = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}.get(fault.how)
    if number is None:
        return
    try:
        for process in hit:
            _signal(process, number)
        if fault.how == "stop":
            stopping.wait(fault.seconds)
    finally:
        if fault.how == "stop":
            for process in hit:
                _signal(process, signal.SIGCONT)


def took_effect(fault: Fault, hit: Sequence[psutil.Process], seconds: float) -> None:
    """Waits until what was killed or told to end has ended, at most `seconds`: a stack that is only stopping still
    works, and that is no recovery."""
    if fault.how in ("kill", "term"):
        psutil.wait_procs(list(hit), timeout=seconds)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        if process.is_running():  # its pid is still its own
            os.kill(process.pid, number)


def _part(home: Home, name: str) -> int | None:
    return next((part.pid for part in stack.status(home) if part.name == name), None)
