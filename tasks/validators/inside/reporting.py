"""What happens in a test run, as events on a pipe of its own. A pytest plugin.

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
COLLECTED_AT_ONCE = 50  # the reader drops long lines
_NOT_SHOWN = ("_pytest", "redraft_inside", "pytest_asyncio", "asyncio")  # whose lines say nothing about a test


class Reporter:
    """Sends events. Only the process that made it can report. `lost()` says how the candidate was lost, if it was."""

    def __init__(self, nonce: str, lost: Callable[[], str | None]) -> None:
        self._nonce, self._lost = nonce, lost
        self._handle = os.dup(REPORT)  # not inherited by programs that are started
        os.close(REPORT)
        self._owner = os.getpid()
        self._write, self._getpid = os.write, os.getpid
        # Bound before the candidate is loaded: what is put in its place on the class later is never called.
        self._send = self.send
        self._running = ""

    def send(self, event: str, **fields: Any) -> None:
        """One line: the nonce, the event, its fields."""
        if self._getpid() == self._owner:
            # `repr` of plain values is the interpreter's own; json's encoder is Python that can be patched.
            line = ascii([self._nonce, event, fields]).encode() + b"\n"
            while line:
                line = line[self._write(self._handle, line) :]

    def pytest_collection_finish(self, session: Any) -> None:
        """All tests are known."""
        tests = [[item.nodeid, _excused(item)] for item in session.items]
        for first in range(0, len(tests), COLLECTED_AT_ONCE):
            self._send("collected", tests=tests[first : first + COLLECTED_AT_ONCE])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._running = nodeid
        self._send("started", test=nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A phase of a test ended."""
        fields: dict[str, Any] = {"test": report.nodeid, "phase": report.when, "outcome": report.outcome}
        fields["expected"] = hasattr(report, "wasxfail")
        if report.outcome == "failed":
            fields["printed"] = str(report.capstdout)[-PRINTED_CHARS:]
        self._send("phase", **fields)
        self.report_loss()

    def report_loss(self) -> None:
        """The candidate's process is no more: whatever the tests made of that, it counts."""
        if self._lost() is not None:
            self._send("lost", test=self._running)

    def pytest_exception_interact(self, node: Any, call: Any) -> None:
        """Something was raised in a test, or while a test file was loaded."""
        self._send("raised", test=node.nodeid, **_told(call.excinfo))


def syntax_fields(kind: str, message: str, file: str, line: int, text: str) -> dict[str, Any]:
    """The fields of a syntax error."""
    return {"type": kind, "message": message, "at": [file, line, text]}


def _excused(item: Any) -> bool:
    """Whether the test file itself says that this test may be skipped or is expected to fail."""
    marked = any(item.get_closest_marker(name) for name in ("skip", "skipif", "xfail"))
    return marked or bool(getattr(getattr(item, "obj", None), "__unittest_skip__", False))


def _told(raised: Any) -> dict[str, Any]:
    """What was raised, and the last lines that led to it: of the tests, and of the solution."""
    error = raised.value
    if isinstance(error, SyntaxError):
        return _syntax(error)
    if type(error).__name__ == "CollectError":
        return _import_error(str(error)) | _solution_place(error.__cause__)
    fields: dict[str, Any] = {"type": type(error).__name__, "message": raised.exconly()[:MESSAGE_CHARS]}
    fields |= _solution_place(error)
    for entry in raised.traceback:
        name = Path(entry.path).name
        if entry.frame.code.fullsource is None:  # of the interpreter itself
            continue
        if name == SOLUTION:
            fields["solution"] = [entry.lineno + 1, str(entry.statement).strip()[:120]]
        elif not any(part in str(entry.path) for part in _NOT_SHOWN):
            fields["at"] = [name, entry.lineno + 1, str(entry.statement).strip()[:200]]
    return fields


def _solution_place(error: Any) -> dict[str, Any]:
    """Where in the solution an exception of its process was raised, as that says."""
    place = vars(error).get("_redraft_place") if isinstance(error, BaseException) else None
    known = type(place) is list and [type(part) for part in place] == [int, str]
    return {"solution": place} if known else {}


def _import_error(text: str) -> dict[str, Any]:
    """pytest turns an ImportError into a text: its lines `E  …` say what, `solution.py:3: …` where."""
    lines = text.splitlines()
    message = "\n".join(line[1:].strip() for line in lines if line.startswith("E "))
    fields: dict[str, Any] = {"type": message.partition(":")[0] or "ImportError", "message": message or text}
    for number, line in enumerate(lines[:-1]):
        name, _, rest = line.partition(":")
        place = rest.partition(":")[0]
        if place.isdigit():
            key, shown = ("solution", []) if name == SOLUTION else ("at", [name])
            fields[key] = [*shown, int(place), lines[number + 1].strip()[:120]]
    fields["message"] = fields["message"][:MESSAGE_CHARS]
    return fields


def _syntax(error: SyntaxError) -> dict[str, Any]:
    name = Path(error.filename or SOLUTION).name
    text = (error.text or "").strip()[:120]
    return syntax_fields(type(error).__name__, str(error.msg), name, error.lineno or 0, text)
