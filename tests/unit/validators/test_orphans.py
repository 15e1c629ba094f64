"""Which sandboxes nobody watches any more."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tasks.validators.orphans import end_orphans


def process(proc: Path, pid: int, name: str, parent: int, inner: str) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "comm").write_text(f"{name}\n")
    (folder / "status").write_text(f"Name:\t{name}\nPPid:\t{parent}\nNSpid:\t{pid}{inner}\nSpeculation Store:\n")


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    pids: list[int] = []

    def kill(pid: int, number: int) -> None:
        assert number == signal.SIGKILL
        if pid == 66:
            raise PermissionError
        pids.append(pid)

    monkeypatch.setattr(os, "kill", kill)
    return pids


def test_a_sandbox_whose_starter_is_gone_is_ended_and_no_other(tmp_path: Path, killed: list[int]) -> None:
    process(tmp_path, 1, "init", 0, "")
    process(tmp_path, 10, "bwrap", 1, "")  # starts a sandbox, and its worker is the machine's first process
    process(tmp_path, 11, "bwrap", 10, "\t1")  # is watched
    process(tmp_path, 21, "bwrap", 1, "\t1")  # its starter is gone
    process(tmp_path, 22, "python", 21, "\t2")
    process(tmp_path, 31, "bwrap", 500, "\t1")  # the same, and was given to a process that has ended meanwhile
    process(tmp_path, 41, "python", 1, "\t1")  # the first of a container
    process(tmp_path, 66, "bwrap", 1, "\t1")  # another user's
    (tmp_path / "77").mkdir()  # has ended while it was looked at
    assert sorted(end_orphans(tmp_path)) == sorted(killed) == [21, 31]
