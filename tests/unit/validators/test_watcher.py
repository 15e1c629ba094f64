"""What the watcher of a sandbox measures while bwrap is still changing its root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tasks.validators.watcher import ResourceLimits, Watcher

LIMITS = ResourceLimits(memory_bytes=2**40, cpu_seconds=1e9, tasks=10_000, files=2**62)
OWN, HOSTS = Path("/dev/shm"), Path("/")


@pytest.mark.skipif(OWN.stat().st_dev == HOSTS.stat().st_dev, reason="both are one file system")
def test_the_hosts_folder_is_not_measured_though_it_appears_between_two_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of `pivot_root` the sandbox's `/tmp` is the host's again, with all its files."""
    place, measured = tmp_path / "tmp", []
    place.symlink_to(HOSTS)
    watcher = Watcher(os.getpid(), LIMITS, (str(place),))
    look, measure = os.fstat, os.fstatvfs

    def look_and_exchange(descriptor: int) -> os.stat_result:
        place.unlink()
        place.symlink_to(HOSTS)
        return look(descriptor)

    def note(descriptor: int) -> os.statvfs_result:
        measured.append(look(descriptor).st_dev)
        return measure(descriptor)

    monkeypatch.setattr(os, "fstat", look_and_exchange)
    monkeypatch.setattr(os, "fstatvfs", note)
    watcher.usage()
    assert measured == []
    place.unlink()
    place.symlink_to(OWN)
    watcher.usage()
    assert measured == [OWN.stat().st_dev]
