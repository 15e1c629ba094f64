"""A program on a terminal of its own, as a person has it: what it shows is read, keys are sent."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Iterator, Mapping, Sequence

CTRL_C = "\x03"
CTRL_U = "\x15"
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>()][A-Z0-9]?)")


class Terminal:
    """One of `columns` by `rows`; `shown` is all that was written on it so far, with its escapes."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self._pid, self._descriptor = pid, descriptor
        self.shown = ""

    @property
    def text(self) -> str:
        """What was shown, without escapes."""
        return _ESCAPE.sub("", self.shown)

    def send(self, keys: str) -> None:
        """Types."""
        os.write(self._descriptor, keys.encode())

    def until(self, words: str, seconds: float = 60) -> None:
        """Waits until `words` are shown, after what was shown before this call."""
        before, deadline = len(self.text), time.monotonic() + seconds
        while words not in self.text[before:]:
            assert time.monotonic() < deadline, f"{words!r} is not shown: {self.text[-2000:]!r}"
            assert self._read(0.2), f"it ended without {words!r}: {self.text[-2000:]!r}"

    def code(self, seconds: float = 60) -> int:
        """Waits for the program's end; its exit code, or that of a shell for the signal that ended it."""
        deadline = time.monotonic() + seconds
        while self._read(0.2):
            assert time.monotonic() < deadline, f"it does not end: {self.text[-2000:]!r}"
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        ended = os.waitstatus_to_exitcode(status)
        return ended if ended >= 0 else 128 - ended

    def close(self) -> None:
        """Ends the program, if it has not ended."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._descriptor)

    def _read(self, seconds: float) -> bool:
        """Whether the program still has its terminal."""
        if select.select([self._descriptor], [], [], seconds)[0]:
            try:
                written = os.read(self._descriptor, 65_536)
            except OSError:  # as Linux says it
                return False
            self.shown += written.decode(errors="replace")
            return bool(written)
        return True


@contextlib.contextmanager
def terminal(
    argv: Sequence[str], environment: Mapping[str, str], *, columns: int = 80, rows: int = 24
) -> Iterator[Terminal]:
    """Runs `argv` on a terminal until the end of the block."""
    pid, descriptor = pty.fork()
    if pid == 0:  # pragma: no cover - another process
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # in the background it is inherited as ignored
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.execvpe(argv[0], list(argv), dict(environment))
    opened = Terminal(pid, descriptor)
    try:
        yield opened
    finally:
        opened.close()
