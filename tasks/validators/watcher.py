"""Measures what a whole sandbox uses: processes, CPU, memory, files. It only reads /proc and kills nothing itself.

Sizes are bytes, times seconds. Must not know why a sandbox runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tasks.validators import kernelmemory

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MAPPED_BY_TABLE_BYTE = 512  # eight bytes of page table for each page of 4 KiB
_TICKS = os.sysconf("SC_CLK_TCK")
_KERNEL_LISTS_CHILDREN = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()
_PROCESS_ENDED = (FileNotFoundError, ProcessLookupError, PermissionError, NotADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceLimits:
    """What a whole sandbox may use. `files` counts entries in its temporary file systems and in the kernel's lists."""

    memory_bytes: int
    cpu_seconds: float
    tasks: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a sandbox uses now. `resident_bytes` is process memory with page tables, shared pages counted in each
    process; `other_bytes` is the memory of its files and the kernel's memory for it."""

    resident_bytes: int = 0
    other_bytes: int = 0
    cpu_seconds: float = 0.0
    tasks: int = 0
    files: int = 0


class Watcher:
    """Measures the tree of processes below the sandbox's first one, whose number on the host is `root`."""

    def __init__(self, root: int, limits: ResourceLimits, temporary: tuple[str, ...]) -> None:
        self._root, self._limits, self._temporary = root, limits, temporary
        self._host_devices = {path: Path(path).stat().st_dev for path in temporary if Path(path).exists()}

    def usage(self) -> Usage:
        """What the tree uses now."""
        return self._measure(list(descendants(self._root)))

    def exceeded_limit(self) -> str | None:
        """The limit that the tree exceeds now (memory, cpu, processes, files), or None."""
        pids = list(descendants(self._root))
        usage = self._measure(pids)
        if usage.tasks > self._limits.tasks:
            return "processes"
        if usage.cpu_seconds > self._limits.cpu_seconds:
            return "cpu"
        if usage.files > self._limits.files:
            return "files"
        # Forked processes share most of their pages: only if the sum is too large do we pay for the exact count, which
        # counts each page once.
        room = self._limits.memory_bytes - usage.other_bytes
        return "memory" if usage.resident_bytes > room and _exact_memory(pids, usage) > room else None

    def _measure(self, pids: list[int]) -> Usage:
        memory = tasks = 0
        cpu = 0.0
        for pid in pids:
            with suppress(*_PROCESS_ENDED, IndexError, ValueError):
                fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
                # proc_pid_stat(5), counted from the state: own and waited-for times, threads, size, resident pages
                cpu += sum(int(fields[index]) for index in range(11, 15)) / _TICKS
                tasks += int(fields[17])
                memory += int(fields[21]) * _PAGE + int(fields[20]) // _MAPPED_BY_TABLE_BYTE
        file_bytes, files = self._file_usage()
        kernel = kernelmemory.measure(self._root, pids)
        return Usage(
            resident_bytes=memory,
            other_bytes=file_bytes + kernel.memory_bytes,
            cpu_seconds=cpu,
            tasks=tasks,
            files=files + kernel.entries,
        )

    def _file_usage(self) -> tuple[int, int]:
        used_bytes = files = 0
        for path in self._temporary:
            with suppress(OSError), _opened(f"/proc/{self._root}/root{path}") as folder:
                if os.fstat(folder).st_dev == self._host_devices.get(path):
                    continue  # bwrap has not changed its root yet: this is the host's own folder
                status = os.fstatvfs(folder)
                used_bytes += (status.f_blocks - status.f_bfree) * status.f_frsize
                files += status.f_files - status.f_ffree
        return used_bytes, files


@contextmanager
def _opened(path: str) -> Iterator[int]:
    """A descriptor of a folder. While bwrap changes its root the same path means one folder after another, for a moment
    the host's again."""
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def descendants(root: int) -> Iterator[int]:
    """`root` and every process below it; processes that start or end meanwhile may be missed."""
    if not _KERNEL_LISTS_CHILDREN:
        yield root
        with suppress(psutil.Error):
            yield from (child.pid for child in psutil.Process(root).children(recursive=True))
        return
    pending = [root]
    while pending:
        pid = pending.pop()
        yield pid
        with suppress(*_PROCESS_ENDED):
            for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - names are enough, and this runs often
                with suppress(*_PROCESS_ENDED):
                    pending.extend(map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split()))


def _exact_memory(pids: list[int], usage: Usage) -> int:
    total = 0
    for pid in pids:
        try:
            total += _kilobytes(pid, "smaps_rollup", b"Pss:") + _kilobytes(pid, "status", b"VmPTE:")
        except PermissionError:
            return usage.resident_bytes  # not readable: the upper bound must suffice
        except _PROCESS_ENDED:
            continue  # it has ended and uses nothing
    return total * 1024


def _kilobytes(pid: int, file: str, name: bytes) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_bytes().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0
