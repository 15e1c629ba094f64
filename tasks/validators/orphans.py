"""Ends sandboxes that nobody watches any more.

bubblewrap ends a sandbox with whoever started it, by the kernel's signal at a parent's death. Where that parent is
killed while the sandbox is only being set up, the signal is not asked for yet: the program then runs on without a limit
of time. Must not know what runs in a sandbox.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

_PROC = Path("/proc")
_NAME = "bwrap"


def end_orphans(proc: Path = _PROC) -> tuple[int, ...]:
    """Kills the first process of each sandbox whose starter is gone, and with it all that runs there; their ids.

    The starter of one that is watched is always bubblewrap, too. Those of other users are left alone.
    """
    ended = []
    for folder in proc.glob("[1-9]*"):
        if _is_orphan(proc, folder):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(folder.name), signal.SIGKILL)
                ended.append(int(folder.name))
    return tuple(ended)


def _is_orphan(proc: Path, folder: Path) -> bool:
    if _comm(folder) != _NAME:
        return False
    try:
        fields = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
    except OSError:
        return False
    numbers = fields.get("NSpid", "").split()
    is_first = len(numbers) > 1 and numbers[-1] == "1"
    return is_first and _comm(proc / fields["PPid"]) != _NAME


def _comm(folder: Path) -> str:
    """The name of a process; nothing where it has ended."""
    try:
        return (folder / "comm").read_text().strip()
    except OSError:
        return ""
