"""How programs end, alone and beside others, and that nothing of them is left."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tasks.errors import Cancelled
from tasks.heartbeat import SilentHeartbeat
from tasks.settings import load_settings
from tasks.types import SandboxJob
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.integration.sandbox.programs import left_over, python, run, within

pytestmark = pytest.mark.integration


def test_processes_left_in_the_background_end_with_the_program(sandbox):
    mark = f"left-{time.monotonic_ns()}"
    source = f"import os, time\nif not os.fork():\n    os.setsid()\n    time.sleep(60)  # {mark}\nprint('gone')"
    result = run(sandbox, source)
    assert (result.exit_code, result.stdout, result.killed) == (0, "gone\n", None)
    assert result.seconds < 30
    assert left_over(mark) == []


def test_a_program_killed_by_a_signal_says_which(sandbox):
    assert run(sandbox, "import os; os.kill(os.getpid(), 11)").exit_code == 128 + 11


class _StopsAfter(SilentHeartbeat):
    def __init__(self, checks):
        self.left, self.silences = checks, []

    def expect_silence(self, seconds):
        self.silences.append(seconds)

    def check(self):
        self.left -= 1
        if self.left < 0:
            raise Cancelled("the job was cancelled")


def test_a_cancelled_step_kills_the_whole_tree_and_goes_on_as_cancelled(real_sandbox):
    mark = f"tree-{time.monotonic_ns()}"
    source = f"import os, time\nfor _ in range(4): os.fork()\ntime.sleep(60)  # {mark}"
    heartbeat = _StopsAfter(4)
    with pytest.raises(Cancelled):
        real_sandbox.run(python(source, timeout_seconds=30), heartbeat)
    assert heartbeat.silences[-1] > 30
    assert left_over(mark) == []


def test_four_at_once_keep_apart(real_sandbox):
    source = "import time\nopen('/tmp/mine', 'x').write('{0}')\ntime.sleep(0.5)\nprint(open('/tmp/mine').read())"
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: run(real_sandbox, source.format(n)), range(4)))
    assert [r.stdout for r in results] == ["0\n", "1\n", "2\n", "3\n"]


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has one uid")
def test_each_of_several_at_once_has_a_uid_of_its_own(real_sandbox):
    mark = f"uid-{time.monotonic_ns()}"
    both_seen = threading.Event()
    seen = set()

    def look():
        for _ in range(200):
            for process in psutil.process_iter(["cmdline", "uids"]):
                if mark in " ".join(process.info["cmdline"] or ()) and process.info["uids"].real:
                    seen.add(process.info["uids"].real)
            if len(seen) >= 2:
                both_seen.set()
                return
            time.sleep(0.02)

    watcher = threading.Thread(target=look)
    watcher.start()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: run(real_sandbox, f"import time; time.sleep(2)  # {mark}"), range(2)))
    watcher.join()
    assert both_seen.is_set()
    assert 0 not in seen


def test_a_worker_that_is_killed_takes_its_sandboxes_with_it(real_sandbox):
    mark = f"orphan-{time.monotonic_ns()}"
    worker = os.fork()
    if worker == 0:
        run(real_sandbox, f"import os, time\nos.fork()\ntime.sleep(100)  # {mark}", timeout_seconds=100)
        os._exit(0)
    assert within(30, lambda: len(left_over(mark)) >= 3)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    assert within(30, lambda: not left_over(mark))


def test_many_descriptors_of_the_worker_do_no_harm(real_sandbox):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("the limit on open files is too low here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(1500)]
    try:
        assert run(real_sandbox, "print('fine')").stdout == "fine\n"
    finally:
        for handle in taken:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_run_leaves_no_descriptor_open(real_sandbox):
    run(real_sandbox, "")
    before = set(Path("/proc/self/fd").iterdir())
    run(real_sandbox, "", files={"a": "b"}, report_fd=5)
    assert set(Path("/proc/self/fd").iterdir()) == before


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", ""])
def test_a_file_outside_the_jobs_folder_is_refused(real_sandbox, name):
    with pytest.raises(ValueError, match="folder"):
        run(real_sandbox, "", files={name: "x"})


def test_a_program_beyond_as_many_as_may_run_waits_for_one_to_end():
    narrow = BubblewrapSandbox(default_runtime_folder(load_settings().cache), programs=1)
    narrow.runtime(SilentHeartbeat())
    ended, running = [], threading.Event()

    class Started(SilentHeartbeat):
        def expect_silence(self, seconds: float) -> None:
            running.set()

    def slow() -> None:
        job = SandboxJob(argv=("python", "-c", "import time; time.sleep(1.5)"))
        assert narrow.run(job, Started()).exit_code == 0
        ended.append("slow")

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(slow)
        assert running.wait(30)
        assert run(narrow, "print('fine')").stdout == "fine\n"
        ended.append("quick")
        first.result(30)
    assert ended == ["slow", "quick"]
