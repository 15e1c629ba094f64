"""Programs kept waiting in the sandbox: the same verdicts, the same limits, and nothing left behind."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import select
import signal
import threading
import time

import psutil
import pytest

from tasks.heartbeat import SilentHeartbeat
from tasks.settings import load_settings
from tasks.types import CheckSpec
from tasks.validators.answer import AnswerValidator
from tasks.validators.comparison import job_of
from tasks.validators.sandbox import default_runtime_folder
from tasks.validators.schema import SchemaValidator
from tasks.validators.warm import REQUESTS_PER_SERVER, SERVED_MIN_MB, WarmSandbox
from tests.attacks import checks

pytestmark = pytest.mark.integration

PROGRAM = """
import sys
sys.path.insert(0, "/opt/redraft/inside")
from redraft_inside import serve
serve.run(lambda order: eval(order["code"]), lambda: None)
"""
SCHEMA = '{"type": "object", "required": ["a"], "properties": {"a": {"format": "date"}}}'


@pytest.fixture
def sandbox():
    warm = WarmSandbox(default_runtime_folder(load_settings().cache), programs=4)
    yield warm
    warm.close()


def math(sandbox, expected, given, heartbeat=None, **fields):
    check = CheckSpec(name="a", kind="answer", value={"math": expected}, **fields)
    return AnswerValidator().validate(f"ANSWER: {given}", check, sandbox, heartbeat or SilentHeartbeat())


def schema(sandbox, candidate):
    check = CheckSpec(name="s", kind="schema", value="s.json", files={"s.json": SCHEMA})
    return SchemaValidator().validate(candidate, check, sandbox, SilentHeartbeat())


def sandboxes():
    """The sandboxes below this process."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):  # one that has ended, and that nobody has waited for yet
            if "bwrap" in " ".join(child.cmdline()):
                found.append(child.pid)
    return found


def test_one_program_answers_many_orders_each_for_itself(sandbox):
    for _ in range(3):
        assert math(sandbox, "x^2-1", "(x-1)(x+1)").passed
        assert not math(sandbox, "x^2-1", "(x-1)^2").passed
    assert schema(sandbox, '{"a": "2024-02-29"}').passed
    assert "$.a" in schema(sandbox, '{"a": "2023-02-29"}').feedback
    assert sandbox.waiting == 2
    assert len(sandboxes()) == 2


def test_what_breaks_a_limit_takes_its_program_with_it_and_no_other(sandbox):
    assert math(sandbox, "7", "3 + 4", timeout_seconds=2).passed
    assert "within the limits" in math(sandbox, "7", "(10^9)!", timeout_seconds=2).feedback
    assert sandbox.waiting == 0
    assert sandboxes() == []
    assert math(sandbox, "7", "3 + 4", timeout_seconds=2).passed


def evaluate(sandbox, code, **fields):
    """What came of a program that evaluates what it is ordered to."""
    check = CheckSpec(name="c", kind="schema", value=None, **fields)
    job = job_of("match_schema", {"code": code}, check)
    argv = ("python", "-P", "-s", "evaluate.py")
    return sandbox.run(dataclasses.replace(job, argv=argv, files={"evaluate.py": PROGRAM}), SilentHeartbeat())


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        (f"len(b'x' * {2 * SERVED_MIN_MB} * 2**20)", "memory"),
        ("__import__('time').sleep(60)", "wall"),
        ("__import__('os').write(2, b'x' * 2**23)", "output"),
    ],
)
def test_an_order_has_the_limits_of_a_run_of_its_own(sandbox, code, limit):
    result = evaluate(sandbox, code, timeout_seconds=3, memory_mb=SERVED_MIN_MB)
    assert result.killed == limit
    assert result.report == b""
    assert sandboxes() == []


def test_a_request_that_forks_without_end_is_stopped_or_refused(sandbox):
    forks = "[__import__('os').fork() for _ in range(8)] and __import__('time').sleep(60)"
    result = evaluate(sandbox, forks, timeout_seconds=3, memory_mb=SERVED_MIN_MB)
    # The kernel may refuse a fork, which ends the program, before the watcher has counted them; on a busy machine
    # the time may be over first.
    assert (result.killed, result.exit_code) in {("processes", 137), ("processes", 1), ("wall", 137), (None, 1)}
    assert result.report == b""
    assert sandboxes() == []


def test_nothing_of_an_order_is_there_at_the_next(sandbox):
    assert evaluate(sandbox, "globals().setdefault('seen', 1)").report == b"1"
    assert evaluate(sandbox, "globals().get('seen', 'nothing')").report == b'"nothing"'
    assert sandbox.waiting == 1


def test_a_program_that_an_order_left_something_in_is_ended(sandbox):
    left = "__import__('os').fork() or __import__('time').sleep(60)"
    evaluate(sandbox, left)
    assert (sandbox.waiting, sandboxes()) == (0, [])


def test_an_order_cannot_reach_the_program_that_waits(sandbox):
    reached = "__import__('os').listdir(f'/proc/{__import__(\"os\").getppid()}/fd')"
    assert evaluate(sandbox, reached).report == b""
    assert evaluate(sandbox, "1").report == b"1"


def test_under_little_memory_an_order_runs_alone(sandbox):
    assert math(sandbox, "7", "3 + 4", memory_mb=SERVED_MIN_MB - 1).passed
    assert sandbox.waiting == 0


def test_orders_side_by_side_have_a_program_each(sandbox):
    barrier, passed = threading.Barrier(3), []

    def run(number):
        barrier.wait()
        passed.append(math(sandbox, f"{number}", f"{number}").passed)

    threads = [threading.Thread(target=run, args=[number]) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed == [True] * 3


class Stopping(SilentHeartbeat):
    """Stops what waits, from the second look on."""

    def __init__(self):
        self.looks = 0

    def check(self):
        self.looks += 1
        if self.looks > 2:
            raise InterruptedError


def test_a_lost_lease_ends_the_order_and_its_program(sandbox):
    assert math(sandbox, "7", "7").passed
    with pytest.raises(InterruptedError):
        math(sandbox, "7", "(10^9)!", Stopping())
    assert sandbox.waiting == 0
    assert sandboxes() == []


def test_an_idle_program_ends_and_a_closed_sandbox_keeps_none():
    warm = WarmSandbox(default_runtime_folder(load_settings().cache), idle_seconds=0.05)
    assert math(warm, "7", "7").passed
    deadline = time.monotonic() + 20
    while (warm.waiting or sandboxes()) and time.monotonic() < deadline:
        threading.Event().wait(0.05)
    assert (warm.waiting, sandboxes()) == (0, [])
    warm.close()
    assert math(warm, "7", "7").passed
    assert (warm.waiting, sandboxes()) == (0, [])


def test_a_program_that_was_killed_is_replaced(sandbox):
    assert math(sandbox, "7", "7").passed
    for pid in sandboxes():
        ended = select.poll()
        ended.register(handle := os.pidfd_open(pid), select.POLLIN)
        os.kill(pid, signal.SIGKILL)
        assert ended.poll(20_000)
        os.close(handle)
    assert math(sandbox, "7", "7").passed


@pytest.mark.slow  # test_attacks.py plays some of each area
def test_no_attack_on_a_check_is_accepted(sandbox):
    attempts = list(checks.attacks(sandbox))
    assert len(attempts) >= 50
    assert len({attack.name for attack in attempts}) == len(attempts)
    assert [said for attack in attempts if (said := attack.attempt()) is not None] == []
    assert len(attempts) < REQUESTS_PER_SERVER
