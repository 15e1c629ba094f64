"""One confined process: started with exactly the descriptors it may have, read from, watched, killed whole.

Must not know what runs in it, nor how it is confined.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_CHUNK = 65536
_HIGH = 400  # descriptors are moved above this before they are placed, so that none overwrites another
KILL_SECONDS = 5.0


@dataclass(slots=True, kw_only=True)
class Stream:
    """What came out of one pipe, its middle cut where it is longer than `keep` bytes."""

    handle: int
    keep: int
    total: int = 0
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    open: bool = True

    def pull(self) -> None:
        """Reads what is there now."""
        try:
            chunk = os.read(self.handle, _CHUNK)
        except BlockingIOError:
            return
        self.open = bool(chunk)
        self.total += len(chunk)
        room = max(0, self.keep // 2 - len(self.head))
        self.head += chunk[:room]
        self.tail += chunk[room:]
        if len(self.tail) > self.keep - self.keep // 2:
            del self.tail[: len(self.tail) - (self.keep - self.keep // 2)]

    def content(self) -> bytes:
        """Head and tail, with a note between them of how much is missing."""
        missing = self.total - len(self.head) - len(self.tail)
        note = f"\n... {missing} bytes cut ...\n".encode() if missing else b""
        return bytes(self.head) + note + bytes(self.tail)


class Process:
    """A started process. `give` maps the descriptors of the child to ours; each of ours stays open."""

    def __init__(self, command: list[str], give: Mapping[int, int]) -> None:
        self.pid = _spawn(command, give)
        self._pidfd = os.pidfd_open(self.pid)
        self.exit_code: int | None = None
        # The first to go where the machine runs out of memory, rather than an engine or a database.
        with suppress(OSError), open(f"/proc/{self.pid}/oom_score_adj", "w") as score:  # noqa: PTH123
            score.write("1000")

    @property
    def handle(self) -> int:
        """Readable when the process has ended."""
        return self._pidfd

    def reap(self, timeout_seconds: float = 0.0) -> bool:
        """Whether it has ended, waited for at most so long; its `exit_code` is then negative for a signal."""
        if self.exit_code is None and _readable(self._pidfd, timeout_seconds):
            _, status = os.waitpid(self.pid, 0)
            self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code is not None

    def kill(self, first: int | None) -> None:
        """Ends the whole tree and waits for it; also after it ended by itself. `first` is the namespace's first
        process, as we number it: the kernel lets it end only after all the others of the namespace."""
        handle = None if first is None else _first_handle(first, self.pid)
        if handle is not None:
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            _readable(handle, KILL_SECONDS)  # bwrap itself may end before it: it is told the exit code early
            os.close(handle)
            self.reap(KILL_SECONDS)
        if not self.reap():
            os.kill(self.pid, signal.SIGKILL)
            self.reap(KILL_SECONDS)

    def close(self) -> None:
        """Gives the descriptor back; the process must have ended."""
        os.close(self._pidfd)


def _first_handle(first: int, parent: int) -> int | None:
    """A descriptor of the namespace's first process; None where it is gone, or its number is another's by now:
    one that is neither the child of bwrap nor, bwrap gone, the first of some namespace."""
    try:
        handle = os.pidfd_open(first)
    except ProcessLookupError:
        return None
    try:
        lines = Path(f"/proc/{first}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        lines = []
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    is_first = len(fields.get("NSpid", [])) > 1 and fields["NSpid"][-1] == "1"
    if is_first or fields.get("PPid") == [str(parent)]:
        return handle
    os.close(handle)
    return None


class Conversation:
    """Feeds a process its input and reads its pipes until it ends, calling `tend` every `pace` seconds."""

    def __init__(self, process: Process, streams: Mapping[str, Stream], stdin: int, data: bytes) -> None:
        self._process, self._streams, self._stdin, self._data = process, streams, stdin, data
        for handle in (stdin, *(stream.handle for stream in streams.values())):
            os.set_blocking(handle, False)

    def hold(self, pace: float, tend: Callable[[], bool]) -> None:
        """Until the process ended, or `tend` said to stop by returning True."""
        next_look = time.monotonic()
        while not self._process.reap():
            if time.monotonic() >= next_look:
                if tend():
                    return
                next_look = time.monotonic() + pace
            self._exchange(max(0.0, next_look - time.monotonic()))

    def drain(self) -> None:
        """Reads what the dead left in the pipes."""
        for stream in self._streams.values():
            before = -1
            while stream.open and stream.total != before:
                before = stream.total
                stream.pull()

    def _exchange(self, seconds: float) -> None:
        reading = {stream.handle: stream for stream in self._streams.values() if stream.open}
        poller = select.poll()  # select() refuses descriptors above 1023, which a busy worker may have
        for handle in (self._process.handle, *reading):
            poller.register(handle, select.POLLIN)
        if self._stdin >= 0:
            poller.register(self._stdin, select.POLLOUT)
        for handle, _ in poller.poll(seconds * 1000):
            if handle in reading:
                reading[handle].pull()
            elif handle == self._stdin:
                self._feed()

    def _feed(self) -> None:
        try:
            self._data = self._data[os.write(self._stdin, self._data) :] if self._data else b""
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._data = b""
        if not self._data:
            os.close(self._stdin)
            self._stdin = -1

    def close(self) -> None:
        """Closes our ends."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1


def first_pid(status: bytes) -> int | None:
    """The namespace's first process by bwrap's JSON status, once bwrap has written it."""
    found = _status_value(status, "child-pid")
    return found if isinstance(found, int) else None


def program_exit_code(status: bytes) -> int | None:
    """The program's exit code by bwrap's JSON status; None where it never began or was killed with bwrap."""
    return _status_value(status, "exit-code")


def _status_value(status: bytes, name: str) -> int | None:
    for line in status.splitlines():
        with suppress(ValueError):
            document = json.loads(line)
            if name in document:
                return int(document[name])
    return None


def _readable(handle: int, timeout_seconds: float) -> bool:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    return bool(poller.poll(timeout_seconds * 1000))


def _spawn(command: list[str], give: Mapping[int, int]) -> int:
    """posix_spawn, as `subprocess` can't place descriptors at given numbers without a fork in threads."""
    import fcntl

    moved = {target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _HIGH) for target, source in give.items()}
    try:
        actions: list[tuple[int, int, int] | tuple[int, int]] = [
            (os.POSIX_SPAWN_CLOSE, handle) for handle in _inheritable() if handle not in give
        ]
        actions += [(os.POSIX_SPAWN_DUP2, source, target) for target, source in moved.items()]
        return os.posix_spawn(
            command[0],
            command,
            {},  # bwrap's own environment is readable inside as /proc/1/environ
            file_actions=actions,
            setpgroup=0,  # a terminal's Ctrl-C is for the worker, who decides
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT],
        )
    finally:
        for handle in moved.values():
            os.close(handle)


def _inheritable() -> list[int]:
    """Our descriptors that a child would get: Python makes none, but whoever started us may have left some."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            if os.get_inheritable(int(name)):
                found.append(int(name))
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
    return found
