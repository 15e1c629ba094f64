"""What a cgroup leaves to this process of the machine's processors and memory. Must not know what they are for.

Version 2 (`cpu.max`, `memory.max`) and version 1 (`cpu.cfs_quota_us`, `memory.limit_in_bytes`); the tightest of the own
group and all above it holds. Inside a container the own group is usually the root of what is mounted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def cpu_quota(mount: Path = MOUNT, membership: Path = MEMBERSHIP) -> float | None:
    """How many processors' time a second the process may use, None where nothing limits it."""
    quotas = [float(quota) / float(period) for quota, period in _cpu_limits(mount, membership) if float(period) > 0]
    return min(quotas, default=None)


def memory_limit(mount: Path = MOUNT, membership: Path = MEMBERSHIP) -> tuple[int, int] | None:
    """The limit in bytes of the tightest group, and how many of them are in use (without caches that the kernel gives
    back); None where nothing limits the memory."""
    limits = [
        (limit, max(0, _number(folder / usage) - _inactive(folder)))
        for folder, name, usage in _memory_folders(mount, membership)
        if 0 < (limit := _number(folder / name)) < 1 << 60  # version 1 says "unlimited" with a huge number
    ]
    return min(limits, key=lambda pair: pair[0] - pair[1], default=None)


def _cpu_limits(mount: Path, membership: Path) -> Iterator[tuple[str, str]]:
    for folder in _folders(mount, membership, ""):
        words = _text(folder / "cpu.max").split()
        if len(words) == 2 and words[0] != "max":
            yield words[0], words[1]
    for folder in _folders(mount, membership, "cpu"):
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota > 0 and period > 0:
            yield str(quota), str(period)


def _memory_folders(mount: Path, membership: Path) -> Iterator[tuple[Path, str, str]]:
    for folder in _folders(mount, membership, ""):
        yield folder, "memory.max", "memory.current"
    for folder in _folders(mount, membership, "memory"):
        yield folder, "memory.limit_in_bytes", "memory.usage_in_bytes"


def _folders(mount: Path, membership: Path, controller: str) -> Iterator[Path]:
    """The own group's folder and those above it, as far as they are visible; `controller` is empty for version 2."""
    root = mount / controller
    for line in _text(membership).splitlines():
        _, controllers, path = line.split(":", 2)
        if controller not in controllers.split(","):
            continue
        folder = root / path.strip("/")
        while folder != root:
            if folder.is_dir():
                yield folder
            folder = folder.parent
        yield root


def _inactive(folder: Path) -> int:
    for line in _text(folder / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0


def _number(path: Path) -> int:
    """The number in the file; -1 where there is none, or where it says `max`."""
    text = _text(path).strip()
    return int(text) if text.lstrip("-").isdigit() else -1


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
