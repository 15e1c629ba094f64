"""Programs that share the cores, and those that run alone."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tasks.errors import SandboxUnavailable
from tasks.heartbeat import SilentHeartbeat, StoppableHeartbeat
from tasks.validators.cores import cores

HEARTBEAT = SilentHeartbeat()


class Inside:
    """Takes the cores in a thread and keeps them until it is told to leave."""

    def __init__(self, folder: Path, *, exclusive: bool) -> None:
        self.entered, self._leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._stay, args=(folder, exclusive), daemon=True)
        self._thread.start()

    def _stay(self, folder: Path, exclusive: bool) -> None:
        with cores(folder, HEARTBEAT, exclusive=exclusive):
            self.entered.set()
            self._leave.wait(20)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(20)


def test_programs_share_the_cores(tmp_path: Path) -> None:
    first, second = (Inside(tmp_path, exclusive=False) for _ in range(2))
    assert first.entered.wait(10)
    assert second.entered.wait(10)
    first.leave()
    second.leave()


@pytest.mark.parametrize("other", [True, False])
def test_one_that_is_exclusive_waits_for_all_and_keeps_all_out(tmp_path: Path, other: bool) -> None:
    running = Inside(tmp_path, exclusive=False)
    assert running.entered.wait(10)
    alone = Inside(tmp_path, exclusive=True)
    assert not alone.entered.wait(0.3)
    running.leave()
    assert alone.entered.wait(10)
    late = Inside(tmp_path, exclusive=other)
    assert not late.entered.wait(0.3)
    alone.leave()
    assert late.entered.wait(10)
    late.leave()


def test_one_that_is_exclusive_is_not_kept_waiting_by_those_who_come_after(tmp_path: Path) -> None:
    running = Inside(tmp_path, exclusive=False)
    assert running.entered.wait(10)
    alone = Inside(tmp_path, exclusive=True)
    assert not alone.entered.wait(0.3)
    late = Inside(tmp_path, exclusive=False)
    assert not late.entered.wait(0.3), "it came after one that waits to be alone"
    running.leave()
    assert alone.entered.wait(10)
    alone.leave()
    assert late.entered.wait(10)
    late.leave()


def test_who_waits_can_be_stopped_and_leaves_nothing_behind(tmp_path: Path) -> None:
    stopped = threading.Event()
    stopped.set()
    with cores(tmp_path, HEARTBEAT), pytest.raises(RuntimeError, match="stop"):  # noqa: SIM117
        with cores(tmp_path, StoppableHeartbeat(stopped, RuntimeError("stop")), exclusive=True):
            raise AssertionError("it is not alone")
    with cores(tmp_path, HEARTBEAT, exclusive=True):
        pass


def test_in_another_users_folder_nothing_is_locked_and_nothing_runs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    with cores(tmp_path / "cores", SilentHeartbeat()):
        assert not (tmp_path / "cores").exists()
    with (
        pytest.raises(SandboxUnavailable, match="another user's"),
        cores(tmp_path / "cores", SilentHeartbeat(), exclusive=True),
    ):
        pass
