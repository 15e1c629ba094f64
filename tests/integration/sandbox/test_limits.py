"""What a program in the sandbox can use up before it is ended."""

from __future__ import annotations

import time

import pytest

from tasks.settings import load_settings
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder
from tests.integration.sandbox.programs import left_over, run

pytestmark = pytest.mark.integration


def test_a_program_that_takes_too_long_is_ended(sandbox):
    result = run(sandbox, "import time; print('begun', flush=True); time.sleep(60)", timeout_seconds=0.7)
    assert (result.killed, result.stdout) == ("wall", "begun\n")


def test_cpu_time_is_counted_over_all_processes():
    frugal = BubblewrapSandbox(default_runtime_folder(load_settings().cache), cpu_cores=0.02)
    source = "import os\nfor _ in range(3): os.fork()\nwhile True: pass"
    assert run(frugal, source, timeout_seconds=50).killed == "cpu"


def test_the_cpu_time_of_processes_that_ended_still_counts():
    frugal = BubblewrapSandbox(default_runtime_folder(load_settings().cache), cpu_cores=0.02)
    burn = "import time\nwhile time.process_time() < 0.2: pass"
    source = f"import subprocess, sys\nwhile True: subprocess.run([sys.executable, '-c', {burn!r}])"
    assert run(frugal, source, timeout_seconds=50).killed == "cpu"


def test_memory_over_the_limit_is_ended(sandbox):
    source = "import time\nx = []\nwhile True: x.append(bytearray(2**20)); time.sleep(0.0005)"
    assert run(sandbox, source, memory_mb=128).killed == "memory"


def test_memory_is_counted_in_total_over_several_processes(sandbox):
    source = (
        "import os, time\nfor _ in range(7):\n"
        "    if not os.fork():\n        x = b'x' * 60_000_000\n        time.sleep(60)\ntime.sleep(60)"
    )
    assert run(sandbox, source, memory_mb=256).killed == "memory"


def test_pages_shared_by_forked_processes_are_counted_once(sandbox):
    source = (
        "import os, time\nx = b'x' * 60_000_000\nchildren = []\n"
        "for _ in range(7):\n"
        "    pid = os.fork()\n    if not pid: time.sleep(0.5); os._exit(0)\n    children.append(pid)\n"
        "for pid in children: os.waitpid(pid, 0)\nprint('fine')"
    )
    result = run(sandbox, source, memory_mb=256)
    assert (result.killed, result.stdout) == (None, "fine\n")


def test_files_count_as_memory(sandbox):
    source = (
        "import time\n"
        "for place in ('/tmp', '/dev/shm', '/home/job'):\n"
        "    for n in range(3): open(f'{place}/{n}', 'wb').write(b'x' * 15_000_000)\n"
        "time.sleep(60)"
    )
    assert run(sandbox, source, memory_mb=96).killed == "memory"


def test_one_absurd_allocation_is_refused_at_once(sandbox):
    result = run(sandbox, "try: bytearray(2**36)\nexcept MemoryError: print('refused')")
    assert result.stdout == "refused\n"


@pytest.mark.parametrize("bomb", ["import os\nwhile True: os.fork()", "import os\nwhile os.fork() >= 0: pass"])
def test_a_fork_bomb_ends_by_the_limit_and_leaves_nothing(sandbox, bomb):
    mark = f"bomb-{time.monotonic_ns()}"
    result = run(sandbox, f"{bomb}  # {mark}", timeout_seconds=20)
    # The kernel may refuse a fork, which ends the program, before the watcher has counted them.
    assert result.killed == "processes" or "Resource temporarily unavailable" in result.stderr
    assert left_over(mark) == []


def test_threads_count_as_processes(sandbox):
    source = "import threading, time\nfor _ in range(200): threading.Thread(target=time.sleep, args=(60,)).start()"
    assert run(sandbox, source).killed == "processes"


def test_endless_output_is_ended_and_cut(sandbox):
    result = run(sandbox, "import os\nwhile True: os.write(1, b'x' * 65536)", output_bytes=10_000)
    assert result.killed == "output"
    assert len(result.stdout) < 11_000
    assert "bytes cut" in result.stdout


def test_long_output_keeps_its_beginning_and_its_end(sandbox):
    result = run(sandbox, "print('begin'); print('x' * 100_000); print('end')", output_bytes=1000)
    assert result.stdout.startswith("begin\n")
    assert result.stdout.endswith("end\n")
    assert (result.exit_code, result.killed, len(result.stdout) < 1100) == (0, None, True)


def test_a_file_has_a_largest_size_and_files_a_largest_number(sandbox):
    big = "try: open('big', 'wb').write(b'x' * 2**25)\nexcept OSError as e: print(e.errno)"
    assert run(sandbox, big).stdout == "27\n"
    many = "import time\nfor n in range(6000): open(f'{n}', 'w')\ntime.sleep(60)"
    assert run(sandbox, many).killed == "files"
