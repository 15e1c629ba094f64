"""The runtime of the sandbox: built once, reachable, and a clear fault where it cannot be."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.errors import SandboxUnavailable
from tasks.settings import load_settings
from tasks.validators.folders import make_open
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder, diagnose
from tests.integration.sandbox.programs import run

pytestmark = pytest.mark.integration
ROUNDS = 200


def test_a_sandbox_that_works_has_nothing_to_diagnose():
    assert diagnose(default_runtime_folder(load_settings().cache)) is None


@pytest.mark.slow  # one that is built alone stands for it
def test_two_that_need_a_runtime_at_once_build_one_that_works(tmp_path):
    root = Path(tempfile.mkdtemp(dir="/tmp")) if os.geteuid() == 0 else tmp_path
    root.chmod(0o755)
    before = os.umask(0o077)
    try:
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(run, BubblewrapSandbox(root / "a" / "b"), "print('fine')") for _ in range(2)]
            assert [job.result().stdout for job in jobs] == ["fine\n", "fine\n"]
        assert len(list((root / "a" / "b").glob("runtime-*"))) == 1
        assert list((root / "a" / "b").glob(".building-*")) == []
    finally:
        os.umask(before)
        shutil.rmtree(root)


def test_no_moment_shows_a_new_folder_that_others_may_not_pass(tmp_path):
    before, seen, over = os.umask(0o077), set(), threading.Event()

    def watch() -> None:
        while not over.is_set():
            for number in range(ROUNDS):
                with contextlib.suppress(FileNotFoundError):
                    seen.add((tmp_path / str(number)).stat().st_mode & 0o777)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(ROUNDS):
            make_open(tmp_path / str(number))
    finally:
        over.set()
        watcher.join()
        os.umask(before)
    assert seen <= {0o755}
    assert {path.name for path in tmp_path.iterdir()} == {str(number) for number in range(ROUNDS)}


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user reads its own folders")
def test_a_folder_that_the_unprivileged_uid_cannot_reach_is_a_clear_fault(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert "may not pass" in (diagnose(closed / "sandbox") or "")
    assert list(closed.iterdir()) == []


def test_a_folder_that_cannot_hold_the_runtime_is_a_clear_fault(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(SandboxUnavailable, match=r"cannot be built in|may not pass"):
        run(BubblewrapSandbox(blocked / "sandbox"), "")
