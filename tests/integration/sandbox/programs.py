"""Programs in the sandbox, as root and as an ordinary user, and what is left of them. Knows no test."""

from __future__ import annotations

import json
import os
import time
import traceback
from dataclasses import asdict

import psutil

from tasks.heartbeat import SilentHeartbeat
from tasks.types import SandboxJob, SandboxResult
from tasks.validators.sandbox import BubblewrapSandbox

NOBODY = 65534


class AsOrdinaryUser:
    """Runs each job in a child that has given up root for good: the way of an ordinary user."""

    def __init__(self, sandbox: BubblewrapSandbox) -> None:
        self._sandbox = sandbox

    def run(self, job: SandboxJob, heartbeat: SilentHeartbeat) -> SandboxResult:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            self._become_nobody_and_run(job, heartbeat, writer)
        os.close(writer)
        with os.fdopen(reader, "rb") as told:
            answer = json.loads(told.read())
        os.waitpid(child, 0)
        assert "error" not in answer, answer
        return SandboxResult(**{**answer, "report": answer["report"].encode()})

    def _become_nobody_and_run(self, job: SandboxJob, heartbeat: SilentHeartbeat, writer: int) -> None:
        try:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            result = asdict(self._sandbox.run(job, heartbeat))
            answer = {**result, "report": result["report"].decode()}
        except BaseException:  # noqa: BLE001 - the child must end here, whatever happens
            answer = {"error": traceback.format_exc()}
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)


def python(source, **fields):
    return SandboxJob(argv=("python", "-c", source), **fields)


def run(sandbox, source, **fields):
    return sandbox.run(python(source, **fields), SilentHeartbeat())


def left_over(mark):
    """Processes on this machine whose command line holds `mark`."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if mark in " ".join(p.info["cmdline"] or ())]


def within(seconds, condition):
    """Whether `condition` came true; the limit is for a machine that hangs, not a measurement."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
