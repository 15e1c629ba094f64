"""What a stack's supervisor leaves in its home for other processes: the lock that names it, and the status of each
part. Imports next to nothing, for `redraft status` and `down` read it."""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from workers.engine.record import end_recorded
from workers.home import Home
from workers.process import Recorded, end_trees

Health = Literal["ok", "starting", "down"]

# Deaths in a row after which a part counts as down rather than starting.
DEATHS_BEFORE_DOWN = 3
ALREADY_RUNNING = 75  # EX_TEMPFAIL: another supervisor has locked this home
# Removed when the stack has ended.
FILES = (
    "parts.json",
    "stack.json",
    "engine-progress",
    "engine-warning",
    "engine-failure",
    "worker-failure",
    "relay-failure",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartStatus:
    """One line of `redraft status`."""

    name: str
    pid: int | None
    port: int | None
    address: str | None
    health: Health
    started: float | None = None
    why: str = ""  # it ended on its own account, or does not answer; until it is well again
    warning: str = ""  # what is wrong with it although it works


def read_parts(home: Path) -> list[PartStatus]:
    """The parts as the supervisor last wrote them."""
    path = home / "run" / "parts.json"
    try:
        return [PartStatus(**entry) for entry in json.loads(path.read_text())]
    except (OSError, ValueError):
        return []


def clean(home: Home) -> None:
    """Ends all processes that a killed supervisor left behind, the engine included, and removes its records.

    The engine of a killed worker stays for the next worker to adopt while its supervisor lives.
    """
    end_recorded(home)
    end_trees([Recorded(pid=one.pid, started=one.started) for one in read_parts(home.root) if one.pid and one.started])
    for name in FILES:
        (home.run / name).unlink(missing_ok=True)


@contextlib.contextmanager
def holding(home: Home) -> Iterator[TextIO]:
    """Holds the home's lock, in a file that names its holder. Raises `BlockingIOError` where another process holds
    it."""
    with (home.run / "owner.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield lock


def holder(home: Home) -> Recorded | None:
    """The living supervisor of the home, even before it has written a stack file; None where there is none."""
    try:
        pid, started = (home.run / "owner.lock").read_text().split()
    except (OSError, ValueError):
        return None
    process = Recorded(pid=int(pid), started=float(started))
    return process if process.alive else None
