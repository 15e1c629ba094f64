"""One confined process: started with exactly the descriptors it may have, read from, and killed with its whole tree.

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
_HIGH = 400  # descriptors are duplicated above this first, so that none overwrites another
KILL_SECONDS = 5.0


@dataclass(slots=True, kw_only=True)
class Stream:
    """The output of one pipe; its middle is cut where it is longer than `limit_bytes`."""

    fd: int
    limit_bytes: int
    total: int = 0
    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    open: bool = True

    def read_available(self) -> None:
        """Reads the bytes that are there now, without waiting."""
        try:
            chunk = os.read(self.fd, _CHUNK)
        except BlockingIOError:
            return
        self.open = bool(chunk)
        self.total += len(chunk)
        free = max(0, self.limit_bytes // 2 - len(self.head))
        self.head += chunk[:free]
        self.tail += chunk[free:]
        if len(self.tail) > self.limit_bytes - self.limit_bytes // 2:
            del self.tail[: len(self.tail) - (self.limit_bytes - self.limit_bytes // 2)]

    def content(self) -> bytes:
        """Head and tail, with a note between them that says how many bytes were cut."""
        missing = self.total - len(self.head) - len(self.tail)
        note = f"\n... {missing} bytes cut ...\n".encode() if missing else b""
        return bytes(self.head) + note + bytes(self.tail)


class Process:
    """A started process. `fds` maps descriptor numbers in the child to ours; ours stay open."""

    def __init__(self, command: list[str], fds: Mapping[int, int]) -> None:
        self.pid = _spawn(command, fds)
        self._pidfd = os.pidfd_open(self.pid)
        self.exit_code: int | None = None
        # If the machine runs out of memory, the kernel kills this process first, not an engine or a database.
        with suppress(OSError), open(f"/proc/{self.pid}/oom_score_adj", "w") as score:  # noqa: PTH123
            score.write("1000")

    @property
    def fd(self) -> int:
        """A descriptor that becomes readable when the process ends."""
        return self._pidfd

    def reap(self, timeout_seconds: float = 0.0) -> bool:
        """Waits for the end, at most this long, and returns whether it has ended. `exit_code` is negative for a
        signal."""
        if self.exit_code is None and _readable(self._pidfd, timeout_seconds):
            _, status = os.waitpid(self.pid, 0)
            self.exit_code = os.waitstatus_to_exitcode(status)
        return self.exit_code is not None

    def kill(self, first_pid: int | None) -> None:
        """Kills the whole tree and waits for its end, even if the process itself has ended. `first_pid` is the
        namespace's first process, as the host numbers it: it ends only after all others of the namespace."""
        fd = None if first_pid is None else _first_process_fd(first_pid, self.pid)
        if fd is not None:
            with suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            _readable(fd, KILL_SECONDS)  # bwrap itself may end earlier: it gets the exit code first
            os.close(fd)
            self.reap(KILL_SECONDS)
        if not self.reap():
            os.kill(self.pid, signal.SIGKILL)
            self.reap(KILL_SECONDS)

    def close(self) -> None:
        """Closes the descriptor; the process must have ended."""
        os.close(self._pidfd)


def _first_process_fd(first_pid: int, parent: int) -> int | None:
    """A descriptor of the namespace's first process. None where it has ended, or another process has its number by now:
    one that is neither the child of bwrap nor, if bwrap has ended, the first process of some namespace."""
    try:
        fd = os.pidfd_open(first_pid)
    except ProcessLookupError:
        return None
    try:
        lines = Path(f"/proc/{first_pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        lines = []
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    is_first = len(fields.get("NSpid", [])) > 1 and fields["NSpid"][-1] == "1"
    if is_first or fields.get("PPid") == [str(parent)]:
        return fd
    os.close(fd)
    return None


class Communication:
    """Writes a process's input and reads its pipes until it ends."""

    def __init__(self, process: Process, streams: Mapping[str, Stream], stdin: int, data: bytes) -> None:
        self._process, self._streams, self._stdin, self._data = process, streams, stdin, data
        for fd in (stdin, *(stream.fd for stream in streams.values())):
            os.set_blocking(fd, False)

    def run(self, interval_seconds: float, should_stop: Callable[[], bool]) -> None:
        """Runs until the process ends or `should_stop`, which is called every `interval_seconds`, returns True."""
        next_check = time.monotonic()
        while not self._process.reap():
            if time.monotonic() >= next_check:
                if should_stop():
                    return
                next_check = time.monotonic() + interval_seconds
            self._exchange(max(0.0, next_check - time.monotonic()))

    def drain(self) -> None:
        """Reads what an ended process left in the pipes."""
        for stream in self._streams.values():
            before = -1
            while stream.open and stream.total != before:
                before = stream.total
                stream.read_available()

    def _exchange(self, seconds: float) -> None:
        reading = {stream.fd: stream for stream in self._streams.values() if stream.open}
        poller = select.poll()  # select() refuses descriptors above 1023, which a busy worker may have
        for fd in (self._process.fd, *reading):
            poller.register(fd, select.POLLIN)
        if self._stdin >= 0:
            poller.register(self._stdin, select.POLLOUT)
        for fd, _ in poller.poll(seconds * 1000):
            if fd in reading:
                reading[fd].read_available()
            elif fd == self._stdin:
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
        """Closes our end of its standard input."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1


def first_pid(status: bytes) -> int | None:
    """The namespace's first process, from bwrap's JSON status, once bwrap has written it."""
    pid = _status_value(status, "child-pid")
    return pid if isinstance(pid, int) else None


def program_exit_code(status: bytes) -> int | None:
    """The program's exit code, from bwrap's JSON status; None where it never started or was killed with bwrap."""
    return _status_value(status, "exit-code")


def _status_value(status: bytes, name: str) -> int | None:
    for line in status.splitlines():
        with suppress(ValueError):
            document = json.loads(line)
            if name in document:
                return int(document[name])
    return None


def _readable(fd: int, timeout_seconds: float) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout_seconds * 1000))


def _spawn(command: list[str], fds: Mapping[int, int]) -> int:
    """Starts a process by posix_spawn: `subprocess` can't assign descriptor numbers without a fork in threads."""
    import fcntl

    moved = {target: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _HIGH) for target, source in fds.items()}
    try:
        actions: list[tuple[int, int, int] | tuple[int, int]] = [
            (os.POSIX_SPAWN_CLOSE, fd) for fd in _inheritable() if fd not in fds
        ]
        actions += [(os.POSIX_SPAWN_DUP2, source, target) for target, source in moved.items()]
        return os.posix_spawn(
            command[0],
            command,
            {},  # bwrap's own environment is readable inside as /proc/1/environ
            file_actions=actions,
            setpgroup=0,  # Ctrl-C in a terminal goes to the worker, which decides
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT],
        )
    finally:
        for fd in moved.values():
            os.close(fd)


def _inheritable() -> list[int]:
    """Our descriptors that a child would inherit: Python creates none, but our parent may have left some."""
    fds = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            if os.get_inheritable(int(name)):
                fds.append(int(name))
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
    return fds
