"""The kernel memory of a sandbox besides its processes' pages: buffers of sockets and pipes, watches, locks.

These are upper bounds, read from /proc: a socket or a pipe counts as full, as its contents can't be seen from outside.
They are valid because the filter of system calls lets no program enlarge a buffer. Must not know the limits.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PIPE_BYTES = 16 * 4096  # pipe(7)
_DEFAULT_SEND_BYTES = 212_992  # of net.core.wmem_default
# One message may exceed the send buffer by nearly its size: 390 KB were measured in a datagram socket of 208 KB.
_SEND_BUFFERS = 2
_READ_BYTES = 2**19  # of a list in /proc: more lines than any limit allows
_PROCESS_ENDED = (FileNotFoundError, ProcessLookupError, PermissionError, NotADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelUse:
    """`memory_bytes` in buffers; `entries` in the kernel's lists, which no file system counts."""

    memory_bytes: int
    entries: int


def measure(root: int, pids: Collection[int]) -> KernelUse:
    """The kernel memory of `pids`, the tree of processes in the network namespace of `root`."""
    pipes: set[str] = set()
    entries = _lock_count(pids)
    for pid in pids:
        for number, target in _descriptors(pid):
            if target.startswith("pipe:"):
                pipes.add(target)
            elif target == "anon_inode:[eventpoll]":
                entries += _line_count(f"/proc/{pid}/fdinfo/{number}", b"tfd:")
    return KernelUse(memory_bytes=_socket_count(root) * _socket_bytes() + len(pipes) * PIPE_BYTES, entries=entries)


def _socket_count(root: int) -> int:
    """The number of sockets in the namespace, including those in flight between processes."""
    with suppress(*_PROCESS_ENDED, IndexError, ValueError):
        return int(Path(f"/proc/{root}/net/sockstat").read_bytes().split()[2])
    return 0


def _socket_bytes() -> int:
    with suppress(OSError, ValueError):
        return _SEND_BUFFERS * int(Path("/proc/sys/net/core/wmem_default").read_bytes())
    return _SEND_BUFFERS * _DEFAULT_SEND_BYTES


def _descriptors(pid: int) -> Iterator[tuple[str, str]]:
    folder = f"/proc/{pid}/fd"
    with suppress(*_PROCESS_ENDED):
        for number in os.listdir(folder):  # noqa: PTH208 - this runs often
            with suppress(*_PROCESS_ENDED):
                yield number, os.readlink(f"{folder}/{number}")  # noqa: PTH115


def _lock_count(pids: Collection[int]) -> int:
    """The number of locks on parts of files (proc_locks(5)): a process may hold any number."""
    pid_texts = {b"%d" % pid for pid in pids}
    with suppress(OSError):
        lines = _read_start("/proc/locks").splitlines()
        return sum(not pid_texts.isdisjoint(line.split()[4:6]) for line in lines)
    return 0


def _line_count(path: str, mark: bytes) -> int:
    with suppress(*_PROCESS_ENDED):
        return _read_start(path).count(mark)
    return 0


def _read_start(path: str) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(_READ_BYTES)
