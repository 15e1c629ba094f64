"""Watches what a sandbox uses as a whole: processes, CPU, memory, files. Reads /proc only; kills nothing itself.

Sizes are bytes, times seconds. Must not know why a sandbox runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tasks.validators import kernelmemory

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MAPPED_BY_TABLE_BYTE = 512  # eight bytes of page table for each page of 4 KiB
_TICKS = os.sysconf("SC_CLK_TCK")
_KERNEL_LISTS_CHILDREN = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError, NotADirectoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """What a sandbox may use in all. `files` counts entries in its temporary file systems and in the kernel's lists."""

    memory_bytes: int
    cpu_seconds: float
    tasks: int
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What it uses now. `resident_bytes` is memory with its page tables, shared pages counted in each process;
    `other_bytes` is what its files hold, and the kernel for it."""

    resident_bytes: int = 0
    other_bytes: int = 0
    cpu_seconds: float = 0.0
    tasks: int = 0
    files: int = 0


class Watcher:
    """Measures the tree of processes below the sandbox's first one (`root`, as the host numbers it)."""

    def __init__(self, root: int, ceiling: Ceiling, temporary: tuple[str, ...]) -> None:
        self._root, self._ceiling, self._temporary = root, ceiling, temporary
        self._outside = {place: Path(place).stat().st_dev for place in temporary if Path(place).exists()}

    def usage(self) -> Usage:
        """What the tree uses now."""
        return self._measure(list(descendants(self._root)))

    def broken_limit(self) -> str | None:
        """The limit that the tree is over now (memory, cpu, processes, files), or None."""
        pids = list(descendants(self._root))
        usage = self._measure(pids)
        if usage.tasks > self._ceiling.tasks:
            return "processes"
        if usage.cpu_seconds > self._ceiling.cpu_seconds:
            return "cpu"
        if usage.files > self._ceiling.files:
            return "files"
        # Forked processes share most of their pages: only a sum that is too large is worth the exact,
        # dearer count of each page once.
        room = self._ceiling.memory_bytes - usage.other_bytes
        return "memory" if usage.resident_bytes > room and _exact(pids, usage) > room else None

    def _measure(self, pids: list[int]) -> Usage:
        memory = tasks = 0
        cpu = 0.0
        for pid in pids:
            with suppress(*_GONE, IndexError, ValueError):
                fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
                # proc_pid_stat(5), counted from the state: own and waited-for times, threads, size, resident pages
                cpu += sum(int(fields[index]) for index in range(11, 15)) / _TICKS
                tasks += int(fields[17])
                memory += int(fields[21]) * _PAGE + int(fields[20]) // _MAPPED_BY_TABLE_BYTE
        held, files = self._held_in_files()
        kernel = kernelmemory.measure(self._root, pids)
        return Usage(
            resident_bytes=memory,
            other_bytes=held + kernel.memory_bytes,
            cpu_seconds=cpu,
            tasks=tasks,
            files=files + kernel.entries,
        )

    def _held_in_files(self) -> tuple[int, int]:
        held = files = 0
        for place in self._temporary:
            with suppress(OSError):
                inside = f"/proc/{self._root}/root{place}"
                if os.stat(inside).st_dev == self._outside.get(place):  # noqa: PTH116 - often
                    continue  # bwrap has not changed its root yet: that is the host's own folder
                status = os.statvfs(inside)
                held += (status.f_blocks - status.f_bfree) * status.f_frsize
                files += status.f_files - status.f_ffree
        return held, files


def descendants(root: int) -> Iterator[int]:
    """`root` and every process below it, as far as they can be seen while they come and go."""
    if not _KERNEL_LISTS_CHILDREN:
        yield root
        with suppress(psutil.Error):
            yield from (child.pid for child in psutil.Process(root).children(recursive=True))
        return
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        with suppress(*_GONE):
            for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - names are enough, and this runs often
                with suppress(*_GONE):
                    waiting.extend(map(int, Path(f"/proc/{pid}/task/{thread}/children").read_bytes().split()))


def _exact(pids: list[int], usage: Usage) -> int:
    total = 0
    for pid in pids:
        try:
            total += _kilobytes(pid, "smaps_rollup", b"Pss:") + _kilobytes(pid, "status", b"VmPTE:")
        except PermissionError:
            return usage.resident_bytes  # not ours to read: the upper bound has to do
        except _GONE:
            continue  # ended, or waiting to be reaped: it holds nothing
    return total * 1024


def _kilobytes(pid: int, file: str, name: bytes) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_bytes().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    return 0
