"""A pytest plugin that reports the events of a test run on a separate pipe.

Must not know where the candidate runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPORT = 9
SOLUTION = "solution.py"
MESSAGE_CHARS = 600
PRINTED_CHARS = 300
COLLECTED_AT_ONCE = 50  # per line, since the reader drops long lines
_OMITTED = ("_pytest", "redraft_inside", "pytest_asyncio", "asyncio")  # packages whose lines say nothing about a test


class Reporter:
    """Sends events, only from the process that created it. `connection_error()` says how the connection to the
    candidate broke, or is None."""

    def __init__(self, nonce: str, connection_error: Callable[[], str | None]) -> None:
        self._nonce, self._connection_error = nonce, connection_error
        self._fd = os.dup(REPORT)  # not inherited by child processes
        os.close(REPORT)
        self._pid = os.getpid()
        self._write, self._getpid = os.write, os.getpid
        # Bound before the candidate is loaded: a replacement of the method on the class is never called.
        self._send = self.send
        self._running = ""

    def send(self, event: str, **fields: Any) -> None:
        """Writes one line: the nonce, the event, its fields."""
        if self._getpid() == self._pid:
            # `ascii` of plain values is native code; json's encoder is Python, which the candidate could patch.
            line = ascii([self._nonce, event, fields]).encode() + b"\n"
            while line:
                line = line[self._write(self._fd, line) :]

    def pytest_collection_finish(self, session: Any) -> None:
        """Reports the collected tests."""
        tests = [[item.nodeid, _excused(item)] for item in session.items]
        for start in range(0, len(tests), COLLECTED_AT_ONCE):
            self._send("collected", tests=tests[start : start + COLLECTED_AT_ONCE])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Reports that a test begins."""
        self._running = nodeid
        self._send("started", test=nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Reports the outcome of one phase of a test."""
        fields: dict[str, Any] = {"test": report.nodeid, "phase": report.when, "outcome": report.outcome}
        fields["expected"] = hasattr(report, "wasxfail")
        if report.outcome == "failed":
            fields["printed"] = str(report.capstdout)[-PRINTED_CHARS:]
        self._send("phase", **fields)
        self.report_loss()

    def report_loss(self) -> None:
        """Reports that the candidate's process ended, if it did; this counts whatever the outcome of the tests."""
        if self._connection_error() is not None:
            self._send("lost", test=self._running)

    def pytest_exception_interact(self, node: Any, call: Any) -> None:
        """Reports an exception in a test, or while a test file was loaded."""
        self._send("raised", test=node.nodeid, **_exception_fields(call.excinfo))


def syntax_fields(kind: str, message: str, file: str, line: int, text: str) -> dict[str, Any]:
    """The fields of a syntax error."""
    return {"type": kind, "message": message, "at": [file, line, text]}


def _excused(item: Any) -> bool:
    """Whether the test file itself marks this test as skipped or expected to fail."""
    marked = any(item.get_closest_marker(name) for name in ("skip", "skipif", "xfail"))
    return marked or bool(getattr(getattr(item, "obj", None), "__unittest_skip__", False))


def _exception_fields(info: Any) -> dict[str, Any]:
    """The exception, and the last lines of the tests and of the solution in its traceback."""
    error = info.value
    if isinstance(error, SyntaxError):
        return _syntax(error)
    if type(error).__name__ == "CollectError":
        return _import_error(str(error)) | _solution_location(error.__cause__)
    fields: dict[str, Any] = {"type": type(error).__name__, "message": info.exconly()[:MESSAGE_CHARS]}
    fields |= _solution_location(error)
    for entry in info.traceback:
        name = Path(entry.path).name
        if entry.frame.code.fullsource is None:  # code of the interpreter itself
            continue
        if name == SOLUTION:
            fields["solution"] = [entry.lineno + 1, str(entry.statement).strip()[:120]]
        elif not any(part in str(entry.path) for part in _OMITTED):
            fields["at"] = [name, entry.lineno + 1, str(entry.statement).strip()[:200]]
    return fields


def _solution_location(error: Any) -> dict[str, Any]:
    """Where in the solution an exception of the candidate's process was raised, according to that process."""
    location = vars(error).get("_redraft_place") if isinstance(error, BaseException) else None
    valid = type(location) is list and [type(part) for part in location] == [int, str]
    return {"solution": location} if valid else {}


def _import_error(text: str) -> dict[str, Any]:
    """Parses the text into which pytest turns an ImportError: lines `E  …` say what, `solution.py:3: …` where."""
    lines = text.splitlines()
    message = "\n".join(line[1:].strip() for line in lines if line.startswith("E "))
    fields: dict[str, Any] = {"type": message.partition(":")[0] or "ImportError", "message": message or text}
    for number, line in enumerate(lines[:-1]):
        name, _, rest = line.partition(":")
        line_number = rest.partition(":")[0]
        if line_number.isdigit():
            key, prefix = ("solution", []) if name == SOLUTION else ("at", [name])
            fields[key] = [*prefix, int(line_number), lines[number + 1].strip()[:120]]
    fields["message"] = fields["message"][:MESSAGE_CHARS]
    return fields


def _syntax(error: SyntaxError) -> dict[str, Any]:
    name = Path(error.filename or SOLUTION).name
    text = (error.text or "").strip()[:120]
    return syntax_fields(type(error).__name__, str(error.msg), name, error.lineno or 0, text)
