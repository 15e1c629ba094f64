"""A hostile program in the sandbox, and what is seen of it from outside. Must not know what it tries."""

from __future__ import annotations

import itertools
import os
import textwrap
from collections.abc import Callable

import psutil

from tasks.heartbeat import SilentHeartbeat
from tasks.types import SandboxJob, SandboxResult
from tasks.validators.sandbox import BubblewrapSandbox

_numbers = itertools.count(1)
_PRELUDE = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def through(what):
    print("THROUGH", what, flush=True)
def attempt(act, what):
    try: answer = act()
    except (OSError, ValueError, OverflowError, MemoryError): return
    through(f"{what}: {answer!r}"[:200])
def call(number, *arguments):  # another error says that the kernel has looked at the arguments
    if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) != -1: through("the call succeeded")
    elif ctypes.get_errno() not in (1, 38, 97): through(os.strerror(ctypes.get_errno()))
"""


def refused(sandbox: BubblewrapSandbox, source: str, **fields: object) -> Callable[[], str | None]:
    """An attempt that must not succeed: the program says `through(...)` where it does, by `attempt` or `call`."""

    def attempt() -> str | None:
        result, left = _run(sandbox, f"{_PRELUDE}\n{textwrap.dedent(source)}\nprint('TRIED')", fields)
        reached = [line for line in result.stdout.splitlines() if line.startswith("THROUGH")]
        if not reached and not left and "TRIED" not in result.stdout:
            raise RuntimeError(f"the attack itself failed: {result.killed} {result.stderr[-300:]}")
        return left or (reached[0] if reached else None)

    return attempt


def ended(sandbox: BubblewrapSandbox, source: str, *limits: str, **fields: object) -> Callable[[], str | None]:
    """An attempt that must be ended by one of `limits`, or itself print REFUSED where it met a wall."""

    def attempt() -> str | None:
        result, left = _run(sandbox, f"{_PRELUDE}\n{textwrap.dedent(source)}", fields)
        if result.killed in limits or (result.killed is None and "REFUSED" in result.stdout):
            return left
        said = (result.stdout + result.stderr).strip()[-200:]
        return left or f"ended by {result.killed or f'itself with {result.exit_code}'}: {said}"

    return attempt


def dies_of(sandbox: BubblewrapSandbox, source: str, exit_code: int) -> Callable[[], str | None]:
    """An attempt at which the kernel must kill the program at once."""

    def attempt() -> str | None:
        result, left = _run(sandbox, f"{_PRELUDE}\n{textwrap.dedent(source)}", {})
        return left or (None if result.exit_code == exit_code else f"exit code {result.exit_code}: {result.stdout}")

    return attempt


def _run(sandbox: BubblewrapSandbox, source: str, fields: dict[str, object]) -> tuple[SandboxResult, str | None]:
    """What came of it, and what of it is still there."""
    mark = f"hostile-{os.getpid()}-{next(_numbers)}"
    job = SandboxJob(argv=("python", "-c", f"{source}\n# {mark}"), **{"timeout_seconds": 20.0, **fields})  # type: ignore[arg-type]
    result = sandbox.run(job, SilentHeartbeat())
    left = [
        process.pid for process in psutil.process_iter(["cmdline"]) if mark in " ".join(process.info["cmdline"] or ())
    ]
    return result, f"{len(left)} processes survive" if left else None
