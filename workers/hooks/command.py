"""Events as runs of the operator's own command: no shell, the event on standard input, none of our secrets in its
environment, killed with its tree where it does not end. Must not know what an event says."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import psutil

from tasks.errors import NotDelivered
from tasks.locations import child_environment

# Of what it wrote last, for the message.
SHOWN_BYTES = 300


class Command:
    """Runs `argv` in the folder `home`; it has `seconds` to end."""

    name = "command"

    def __init__(self, argv: Sequence[str], *, seconds: float, home: Path) -> None:
        self._argv, self._seconds, self._home = tuple(argv), seconds, home

    def send(self, event_id: str, body: str) -> str:
        """What it wrote last, where it exits 0; the event's id is in `body`. Raises `NotDelivered`."""
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as written:
            given.write(body.encode())
            given.seek(0)
            child = self._start(given, written)
            try:
                code = child.wait(self._seconds)
            except subprocess.TimeoutExpired:
                raise NotDelivered(f"the command had not ended after {self._seconds:g} s, and was killed") from None
            finally:
                _kill_tree(child)
            said = _end_of(written)
        if code:
            raise NotDelivered(f"the command exited {code}" + (f": {said}" if said else ""))
        return f"exit 0 {said}".rstrip()

    def _start(self, given: IO[bytes], written: IO[bytes]) -> subprocess.Popen[bytes]:
        # It ends with the thread that started it, so that none is left of a relay that is killed.
        setpriv = shutil.which("setpriv")
        prefix = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
        try:
            return subprocess.Popen(
                [*prefix, *self._argv],
                stdin=given,
                stdout=written,
                stderr=subprocess.STDOUT,
                cwd=self._home if self._home.is_dir() else None,
                env=child_environment(self._home),
                start_new_session=True,
            )
        except OSError as error:
            raise NotDelivered(f"the command could not be started: {error.strerror}") from error


def _kill_tree(child: subprocess.Popen[bytes]) -> None:
    """Ends what is left of a command that did not end: its group, and those of its descendants that left it."""
    if child.poll() is not None:
        return
    descendants = list[psutil.Process]()
    with contextlib.suppress(psutil.NoSuchProcess):
        descendants = psutil.Process(child.pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    for process in descendants:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    child.wait()


def _end_of(file: IO[bytes]) -> str:
    """The end of what was written, in one line."""
    file.seek(max(0, file.seek(0, os.SEEK_END) - SHOWN_BYTES))
    return " ".join(file.read().decode(errors="replace").split())
