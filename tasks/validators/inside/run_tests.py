"""Runs one test file against `solution.py` with pytest and reports each outcome on a pipe of its own.

What the candidate prints, and the exit code, count for nothing: only lines that carry the nonce do, which
came on standard input and was read, and the input closed, before any of the candidate's code was loaded.
Code under test shares this process, so this keeps out what ends, skips, prints, patches or replaces; it
cannot keep out a program that finds this reporter through pytest's own objects, that changes the data of
the tests, or that gives back values which call themselves equal to everything.
"""

from __future__ import annotations

import builtins
import importlib
import json
import os
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PACKAGES = "/opt/redraft/pytest"
REPORT = 9
SOLUTION = "solution.py"
MESSAGE_CHARS = 600
PRINTED_CHARS = 300
COLLECTED_AT_ONCE = 50  # the reader drops long lines
FAMILY = ("_pytest", "pluggy", "pytest", "unittest", "__main__")
SEARCHES = frozenset({"gc.get_objects", "gc.get_referrers", "gc.get_referents"})
# Where something was found, the live names of that place, its name there, itself, and its code if it has one.
Seen = tuple[str, Mapping[str, Any], str, Any, Any]


class Reporter:
    """Sends events; a pytest plugin. Only the process that made it can report."""

    def __init__(self, nonce: str, watched: list[str]) -> None:
        self._nonce, self._watched = nonce, watched
        self._handle = os.dup(REPORT)  # not inherited by programs that the candidate starts
        os.close(REPORT)
        self._owner = os.getpid()
        self._write, self._getpid = os.write, os.getpid
        # Bound before the candidate is loaded: what is put in its place on the class later is never called.
        self._send = self.send
        self._before: list[Seen] = []
        self._plugins: set[int] = set()
        self._hooks: list[tuple[Any, Any]] = []
        self._items: dict[str, Any] = {}

    def send(self, event: str, **fields: Any) -> None:
        """One line: the nonce, the event, its fields."""
        if self._getpid() == self._owner:
            # `repr` of plain values is the interpreter's own; json's encoder is Python that can be patched.
            line = ascii([self._nonce, event, fields]).encode() + b"\n"
            while line:
                line = line[self._write(self._handle, line) :]

    def pytest_collection(self, session: Any) -> None:
        """Nothing of the candidate's is loaded yet: remember what everything is."""
        self._before = list(_functions(self._watched))
        self._hooks = _hooks(session.config.pluginmanager)
        self._plugins = {id(plugin) for plugin in session.config.pluginmanager.get_plugins()}

    def pytest_collection_finish(self, session: Any) -> None:
        """All tests are known."""
        self._items = {item.nodeid: item for item in session.items}
        for module in {item.module for item in session.items if hasattr(item, "module")}:
            self._before += _functions_of(module.__name__, vars(module))
        tests = [[item.nodeid, _excused(item)] for item in session.items]
        for first in range(0, len(tests), COLLECTED_AT_ONCE):
            self._send("collected", tests=tests[first : first + COLLECTED_AT_ONCE])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._send("started", test=nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A phase of a test ended."""
        fields: dict[str, Any] = {"test": report.nodeid, "phase": report.when, "outcome": report.outcome}
        fields["expected"] = hasattr(report, "wasxfail")
        if report.outcome == "failed":
            fields["printed"] = str(report.capstdout)[-PRINTED_CHARS:]
        self._send("phase", **fields)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """A test ended."""
        self.look_for_changes([self._items[nodeid]] if nodeid in self._items else [])

    def pytest_exception_interact(self, node: Any, call: Any) -> None:
        """Something was raised in a test, or while the test file was loaded."""
        self._send("raised", test=node.nodeid, **_told(call.excinfo))

    def look_for_changes(self, items: list[Any]) -> None:
        """Reports what of pytest, unittest, the builtins, the tests' functions or `items` is not what it was.

        Some thousand comparisons after each test, half a millisecond: no name is looked up twice.
        """
        for where, names, name, value, code in self._before:
            if names.get(name) is not value or (code is not None and getattr(value, "__code__", None) is not code):
                self._send("tampered", what=f"{where}.{name}")
                return
        if any(implementation.function is not function for implementation, function in self._hooks):
            self._send("tampered", what="the hooks of pytest")
        if any(callable(getattr(type(item), name, None)) for item in items for name in vars(item)):
            self._send("tampered", what="a collected test")

    def pytest_sessionfinish(self, session: Any) -> None:
        """All tests ended."""
        self.look_for_changes(list(self._items.values()))
        plugins = {id(plugin) for plugin in session.config.pluginmanager.get_plugins()}
        if plugins - self._plugins:
            self._send("tampered", what="the plug-ins of pytest")


def _hooks(manager: Any) -> list[tuple[Any, Any]]:
    """Each implementation of a hook with the function it calls."""
    callers = [caller for caller in vars(manager.hook).values() if hasattr(caller, "get_hookimpls")]
    return [(found, found.function) for caller in callers for found in caller.get_hookimpls()]


def _watch_searches(reporter: Reporter, test: str) -> None:
    """Reports a candidate that lists the interpreter's objects, looks at frames or swaps a function's code.

    Python's own library does the latter two for ordinary programs (namedtuple, logging, asyncio), and so may
    the tests. An audit hook cannot be taken off again. It makes a search for this reporter dear, not impossible.
    """
    send, frame, busy = reporter.send, sys._getframe, [False]
    library, here = str(Path(os.__file__).parent), str(Path(PACKAGES).parent)
    inspecting = f"{library}/inspect.py"

    def trusted() -> bool:
        busy[0] = True
        try:
            asking = frame(2)
            while asking.f_code.co_filename == inspecting and asking.f_back is not None:
                asking = asking.f_back
        finally:
            busy[0] = False
        name = asking.f_code.co_filename
        return name.startswith((library, here, "<frozen ")) or name.endswith(f"/{test}")

    def heard(event: str, arguments: tuple[Any, ...]) -> None:
        if event in SEARCHES:
            send("tampered", what="the interpreter's list of objects")
        elif event == "sys._getframe" and not busy[0]:
            if not trusted():
                send("tampered", what="the frames of the interpreter")
        elif event == "object.__setattr__" and arguments[1] == "__code__" and not trusted():
            send("tampered", what="the code of a function")

    sys.addaudithook(heard)


def _functions(watched: list[str]) -> Iterator[Seen]:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in FAMILY or name in watched:
            yield "sys.modules", sys.modules, name, module, None
            yield from _functions_of(name, vars(module))
    for name, value in vars(builtins).items():
        if callable(value) and name != "_":
            yield "builtins", vars(builtins), name, value, None


def _functions_of(where: str, names: Mapping[str, Any]) -> Iterator[Seen]:
    for name, value in list(names.items()):
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
            yield where, names, name, value, getattr(value, "__code__", None)
        elif isinstance(value, type) and value.__module__ == where:
            yield where, names, name, value, None
            for inner, method in list(vars(value).items()):
                if isinstance(method, types.FunctionType | classmethod | staticmethod | property):
                    yield f"{where}.{name}", vars(value), inner, method, getattr(method, "__code__", None)


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
        return _import_error(str(error))
    fields: dict[str, Any] = {"type": type(error).__name__, "message": raised.exconly()[:MESSAGE_CHARS]}
    for entry in raised.traceback:
        name = Path(entry.path).name
        if name == SOLUTION:
            fields["solution"] = [entry.lineno + 1, str(entry.statement).strip()[:120]]
        elif "_pytest" not in str(entry.path):
            fields["at"] = [name, entry.lineno + 1, str(entry.statement).strip()[:200]]
    return fields


def _import_error(text: str) -> dict[str, Any]:
    """pytest turns an ImportError into a text: its lines `E  …` say what, `solution.py:3: …` where."""
    lines = text.splitlines()
    message = "\n".join(line[1:].strip() for line in lines if line.startswith("E "))
    fields: dict[str, Any] = {"type": message.partition(":")[0] or "ImportError", "message": message or text}
    for number, line in enumerate(lines[:-1]):
        name, _, rest = line.partition(":")
        if name == SOLUTION:
            fields["solution"] = [int(rest.partition(":")[0]), lines[number + 1].strip()[:120]]
    fields["message"] = fields["message"][:MESSAGE_CHARS]
    return fields


def _syntax(error: SyntaxError) -> dict[str, Any]:
    name = Path(error.filename or SOLUTION).name
    text = (error.text or "").strip()[:120]
    return {"type": type(error).__name__, "message": str(error.msg), "at": [name, error.lineno or 0, text]}


def _compiles(reporter: Reporter) -> bool:
    source = Path(SOLUTION).read_bytes()
    try:
        compile(source, SOLUTION, "exec", dont_inherit=True)
    except SyntaxError as error:
        reporter.send("syntax", **_syntax(error))
    except (ValueError, MemoryError, RecursionError) as error:
        reporter.send("syntax", type=type(error).__name__, message=str(error), at=[SOLUTION, 0, ""])
    else:
        return True
    return False


def main() -> None:
    """Reads the order {nonce, test, imports} from standard input, and obeys it."""
    order = json.loads(sys.stdin.buffer.read())
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.path.insert(0, PACKAGES)
    leave = os._exit
    reporter = Reporter(order["nonce"], order["imports"])
    if _compiles(reporter):
        import pytest

        for name in ("unittest.case", *order["imports"]):
            importlib.import_module(name)
        sys.path.insert(0, here := str(Path.cwd()))
        options = ["-q", "--tb=no", "--no-header", "--no-summary", "-p", "no:cacheprovider", "--noconftest"]
        options += ["-c", os.devnull, "--rootdir", here, "--import-mode=importlib", order["test"]]
        run, send = pytest.main, reporter.send
        _watch_searches(reporter, order["test"])
        status = int(run(options, plugins=[reporter]))
        send("finished", status=status)
    leave(0)  # at-exit functions and threads of the candidate have no say any more


if __name__ == "__main__":
    main()
