"""For the evaluator of a check of kind score, which finds it beside itself: runs a function of the candidate in a
process of its own, and prints the result.

    from redraft_evaluation import Refused, Solution, last_block, report

The candidate sees the arguments of its calls and nothing else of the evaluator's: neither its standard output nor its
descriptors nor its memory. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# It keeps the descriptors of its pipe to itself, and answers each line of JSON, the arguments of a call, with one.
SERVE = """
import json, os, sys, types
requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
null = os.open(os.devnull, os.O_RDWR)
os.dup2(null, 0), os.dup2(null, 1)
name, source = json.loads(requests.readline())
module = sys.modules["solution"] = types.ModuleType("solution")
try:
    exec(compile(source, "solution.py", "exec"), module.__dict__)
    function = getattr(module, name)
except BaseException as error:
    replies.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\\n")
    replies.flush()
    sys.exit()
for line in requests:
    try:
        reply = json.dumps({"value": function(*json.loads(line))})
    except BaseException as error:
        reply = json.dumps({"error": f"{type(error).__name__}: {error}"})
    replies.write(reply + "\\n")
    replies.flush()
"""
REPLY_BYTES = 1_000_000
PR_SET_DUMPABLE = 4


class Refused(Exception):
    """The candidate is invalid; the message says why."""


class Solution:
    """A function of the candidate's, in a process that sees its arguments and nothing else of the evaluator's.

    All calls together may take `seconds` of wall time. Raises `Refused` where the process breaks off, is too slow, or
    answers with something other than one line of JSON.
    """

    def __init__(self, source: str, name: str, seconds: float) -> None:
        # Nobody of the same user may then open this process's memory or descriptors, through which a score could be
        # written.
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
        signal.signal(signal.SIGALRM, self._too_slow)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        self._name, self._seconds, pipe = name, seconds, subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", SERVE],
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout
        self._send([name, source])

    def call(self, *arguments: Any) -> Any:
        """What the function returns, as JSON carries it: a tuple comes back as a list."""
        self._send(arguments)
        line = self._replies.readline(REPLY_BYTES + 1)
        if not line.endswith(b"\n"):
            raise Refused(f"{self._name} ended its process, or returned more than {REPLY_BYTES:,} bytes.")
        try:
            reply = json.loads(line)
            if isinstance(reply, dict) and "error" in reply:
                raise Refused(f"{self._name} failed: {str(reply['error'])[:500]}")
            return reply["value"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise Refused(f"The process of {self._name} wrote something of its own to its pipe.") from None

    def __enter__(self) -> Solution:
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _send(self, value: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # the reply that is missing says that it ended
            self._requests.write(json.dumps(value).encode() + b"\n")
            self._requests.flush()

    def _too_slow(self, *_: object) -> None:
        raise Refused(f"{self._name} took more than {self._seconds:g} seconds.")


def last_block(path: str | Path) -> str:
    """The last fenced block of the answer, or all of it where there is none."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return blocks[-1] if blocks else text


def report(evaluate: Callable[[], tuple[float, Mapping[str, float], str]]) -> None:
    """Prints what `evaluate` returns (score, metrics, feedback), or why it refused the candidate."""
    try:
        score, metrics, feedback = evaluate()
        result: dict[str, Any] = {"score": score, "valid": True, "metrics": metrics, "feedback": feedback}
    except Refused as reason:
        result = {"score": None, "valid": False, "metrics": {}, "feedback": str(reason)}
    sys.stdout.write(json.dumps(result) + "\n")
