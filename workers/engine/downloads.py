"""What a choice has still to download: its size, the disk that it needs, and how much of it has arrived.

Must not know how it is fetched: it looks at the folders into which pip and the hub's client write.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.settings import hub_cache
from workers.engine import environment
from workers.engine.building import GIB, require_space
from workers.engine.placement import Choice
from workers.engine.profiles import Profile
from workers.engine.weights import is_complete, needed_gib, scratch_folder, weights_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """One thing to download, into `arriving`: millions of bytes (0: unknown), and GiB of `disk` while it is built.
    `from_hub`: into the hub's own cache."""

    what: str
    megabytes: float
    disk_gib: float
    disk: Path
    arriving: Path
    from_hub: bool = False

    @property
    def words(self) -> str:
        """`SmolLM2: 93 MB`."""
        return f"{self.what}: {self.megabytes:,.0f} MB" if self.megabytes else f"{self.what}: size unknown"


def missing(choice: Choice, cache: Path, *, installed: bool) -> list[Download]:
    """What is not there yet. `installed`: the engine is a program of the user's own."""
    profile, found = choice.profile, []
    folder = environment.environment_folder(profile.distribution, cache)
    if not installed and not environment.is_complete(folder):
        found.append(
            Download(
                what=profile.distribution,
                megabytes=environment.MEGABYTES[profile.distribution],
                disk_gib=environment.NEEDED_GIB[profile.distribution],
                disk=cache,
                arriving=environment.scratch_folder(folder),
            )
        )
    weights = _weights(profile, cache)
    return [*found, weights] if weights else found


def require_room(downloads: Sequence[Download]) -> None:
    """Raises `PartFailed` where a disk has too little space for all of them together."""
    for disk in {download.disk for download in downloads}:
        there = [download for download in downloads if download.disk == disk]
        require_space(disk, sum(download.disk_gib for download in there), " and ".join(one.what for one in there))


class Arrivals:
    """Counts the bytes that arrive. What pip has unpacked it deletes, so only growth counts."""

    def __init__(self, downloads: Sequence[Download]) -> None:
        self._folders = [download.arriving for download in downloads]
        self._last, self.arrived = self._lying(), 0

    def count(self) -> int:
        """The bytes that have arrived since this was made."""
        lying = self._lying()
        self.arrived += max(0, lying - self._last)
        self._last = lying
        return self.arrived

    def _lying(self) -> int:
        return sum(_bytes(folder) for folder in self._folders)


def _weights(profile: Profile, cache: Path) -> Download | None:
    source = profile.weights
    if source.path:
        return None
    size = profile.download_gib
    if source.hub and profile.engine != "llama.cpp":
        arriving = hub_cache() / f"models--{source.hub.replace('/', '--')}"
        if (arriving / "snapshots").exists():  # vLLM completes what is missing in it
            return None
        return Download(
            what=profile.name,
            megabytes=size * GIB / 1e6,
            disk_gib=size,
            disk=hub_cache(),
            arriving=arriving,
            from_hub=True,
        )
    folder = weights_folder(profile, cache)
    if is_complete(folder):
        return None
    return Download(
        what=profile.name,
        megabytes=size * GIB / 1e6,
        disk_gib=needed_gib(profile),
        disk=cache,
        arriving=scratch_folder(folder),
    )


def _bytes(folder: Path) -> int:
    """Of the files that are arriving: in pip's temporary folders, and where the hub's client keeps its downloads."""
    total = 0
    for path in folder.rglob("*"):
        within = path.parts[len(folder.parts) : -1]
        if any(part.startswith("pip-") or part in ("blobs", "download") for part in within):
            with contextlib.suppress(OSError):
                total += path.lstat().st_size if path.is_file() else 0
    return total
