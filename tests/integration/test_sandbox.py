"""The real sandbox: what a program in it can see, reach and use up, and that nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from tasks.errors import Cancelled, SandboxUnavailable
from tasks.ports import SandboxJob, SandboxResult
from tasks.pulse import Silent
from tasks.settings import load_settings
from tasks.validators.folders import make_open
from tasks.validators.sandbox import BubblewrapSandbox, default_runtime_folder, diagnose

pytestmark = pytest.mark.integration
NOBODY = 65534
ROUNDS = 200


class _AsOrdinaryUser:
    """Runs each job in a child that has given up root for good: the way of an ordinary user."""

    def __init__(self, sandbox: BubblewrapSandbox) -> None:
        self._sandbox = sandbox

    def run(self, job: SandboxJob, pulse: Silent) -> SandboxResult:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            self._become_nobody_and_run(job, pulse, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as told:
            answer = json.loads(told.read())
        os.waitpid(child, 0)
        assert "error" not in answer, answer
        return SandboxResult(**{**answer, "report": answer["report"].encode()})

    def _become_nobody_and_run(self, job: SandboxJob, pulse: Silent, writer: int) -> None:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            result = asdict(self._sandbox.run(job, pulse))
            answer = {**result, "report": result["report"].decode()}
        except BaseException:  # noqa: BLE001 - the child must end here, whatever happens
            answer = {"error": traceback.format_exc()}
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)


@pytest.fixture(scope="module")
def real_sandbox():
    made = BubblewrapSandbox(default_runtime_folder(load_settings().cache))
    made.runtime(Silent())
    return made


@pytest.fixture(params=["as we are", "as an ordinary user"])
def sandbox(request, real_sandbox):
    if request.param == "as we are":
        return real_sandbox
    if os.geteuid() != 0:
        pytest.skip("these tests already run as an ordinary user")
    return _AsOrdinaryUser(real_sandbox)


def python(source, **fields):
    return SandboxJob(argv=("python", "-c", source), **fields)


def run(sandbox, source, **fields):
    return sandbox.run(python(source, **fields), Silent())


def left_over(mark):
    """Processes on this machine whose command line holds `mark`."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if mark in " ".join(p.info["cmdline"] or ())]


def test_a_program_runs_with_its_files_input_and_report(sandbox):
    source = "import os, sys; os.write(7, open('data/a.txt').read().encode()); print(sys.stdin.read()); sys.exit(3)"
    result = run(sandbox, source, files={"data/a.txt": "report"}, stdin=b"input", report_fd=7)
    assert (result.exit_code, result.stdout, result.report, result.killed) == (3, "input\n", b"report", None)


def test_input_larger_than_a_pipe_arrives_whole(real_sandbox):
    result = run(real_sandbox, "import sys; print(len(sys.stdin.buffer.read()))", stdin=b"x" * 500_000)
    assert result.stdout == "500000\n"


def test_no_network_is_reachable_not_even_the_hosts_loopback(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        source = (
            "import socket\n"
            f"for address in (('127.0.0.1', {port}), ('1.1.1.1', 53)):\n"
            "    try:\n        socket.create_connection(address, 1); print('reached')\n"
            "    except OSError: print('refused')\n"
            "print([line.split(':')[0].strip() for line in open('/proc/net/dev')][2:])"
        )
        assert run(sandbox, source).stdout == "refused\nrefused\n['lo']\n"


def test_the_hosts_files_are_invisible(sandbox, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x")
    here = Path(__file__).resolve()
    source = (
        f"import os\nplaces = [{str(secret)!r}, {str(here)!r}, {str(Path.home())!r}, '/root', '/etc/shadow', '/var']\n"
        "places += ['/sys', '/run', '/usr/local/bin', '/mnt', '/srv']\n"
        "print([p for p in places if os.path.exists(p)])\n"
        "print(sorted(os.listdir('/home')), os.listdir('/tmp'))"
    )
    assert run(sandbox, source).stdout == "[]\n['job'] []\n"


def test_nothing_of_our_environment_is_readable_in_any_process(sandbox, monkeypatch):
    monkeypatch.setenv("REDRAFT_TEST_SECRET", "hunter2")
    source = (
        "import os, glob\nseen = b''\n"
        "for path in glob.glob('/proc/[0-9]*/environ'):\n    seen += open(path, 'rb').read()\n"
        "print(b'hunter2' in seen, sorted(set(os.environ) - {'PWD', 'LC_CTYPE'}))"
    )
    names = "['HOME', 'LANG', 'LD_LIBRARY_PATH', 'PATH', 'PYTHONDONTWRITEBYTECODE', 'PYTHONHASHSEED']"
    assert run(sandbox, source).stdout == f"False {names}\n"


def test_only_its_own_descriptors_and_processes_are_there(sandbox):
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    try:
        source = (
            "import os\nprint([n for n in range(3, 1000) if os.path.exists(f'/proc/self/fd/{n}')])\n"
            "print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit()) == [1, os.getpid()])"
        )
        assert run(sandbox, source).stdout == "[]\nTrue\n"
    finally:
        os.close(leaked)


def test_nothing_outside_its_temporary_folders_can_be_written(sandbox):
    source = (
        "import os\n"
        "for place in ('/', '/usr', '/etc', '/dev', '/home', '/opt/redraft/pytest', '/proc/sys/kernel'):\n"
        "    try: open(place + '/x', 'w'); print('wrote', place)\n"
        "    except OSError: pass\n"
        "for place in ('/tmp', '/home/job', '/dev/shm'):\n    open(place + '/x', 'w').write('x')\n"
        "print('done')"
    )
    assert run(sandbox, source).stdout == "done\n"


def test_a_given_file_can_be_neither_changed_nor_removed_nor_moved(sandbox):
    source = (
        "import os\n"
        "open('v.py', 'w').close()\n"
        "for act in (lambda: open('t.py', 'a'), lambda: os.remove('t.py'), lambda: os.rename('t.py', 'u.py'),\n"
        "            lambda: os.replace('v.py', 't.py'), lambda: os.chmod('t.py', 0o777)):\n"
        "    try: act(); print('did it')\n"
        "    except OSError: pass\n"
        "print(open('t.py').read())"
    )
    assert run(sandbox, source, files={"t.py": "original"}).stdout == "original\n"


def test_privileges_and_further_namespaces_are_refused(sandbox):
    source = (
        "import os, ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.unshare(0x10000000), libc.unshare(0x20000), libc.mount(b'none', b'/tmp', b'tmpfs', 0, None))\n"
        "status = open('/proc/self/status').read()\n"
        "names = ('CapEff', 'CapPrm', 'CapBnd', 'NoNewPrivs')\n"
        "print([line.split()[1] for line in status.splitlines() if line.startswith(names)])\n"
        "try: os.setuid(0); print('root')\nexcept OSError: print('no')\n"
        "try: os.memfd_create('hidden'); print('memfd')\nexcept OSError: print('no')"
    )
    zero = "0" * 16
    assert run(sandbox, source).stdout == f"-1 -1 -1\n['{zero}', '{zero}', '{zero}', '1']\nno\nno\n"


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
    assert result.killed == "processes"
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


def test_processes_left_in_the_background_end_with_the_program(sandbox):
    mark = f"left-{time.monotonic_ns()}"
    source = f"import os, time\nif not os.fork():\n    os.setsid()\n    time.sleep(60)  # {mark}\nprint('gone')"
    result = run(sandbox, source)
    assert (result.exit_code, result.stdout, result.killed) == (0, "gone\n", None)
    assert result.seconds < 30
    assert left_over(mark) == []


def test_a_program_killed_by_a_signal_says_which(sandbox):
    assert run(sandbox, "import os; os.kill(os.getpid(), 11)").exit_code == 128 + 11


class _StopsAfter(Silent):
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
    pulse = _StopsAfter(4)
    with pytest.raises(Cancelled):
        real_sandbox.run(python(source, timeout_seconds=30), pulse)
    assert pulse.silences[-1] > 30
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
    assert _within(30, lambda: len(left_over(mark)) >= 3)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    assert _within(30, lambda: not left_over(mark))


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


def _within(seconds, condition):
    """Whether `condition` came true; the limit is for a machine that hangs, not a measurement."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


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
    narrow.runtime(Silent())
    ended, running = [], threading.Event()

    class Started(Silent):
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


def test_a_sandbox_that_works_has_nothing_to_diagnose():
    assert diagnose(default_runtime_folder(load_settings().cache)) is None


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
