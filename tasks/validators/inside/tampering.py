"""Detects changes that a candidate in the tests' process (`isolation: shared`) makes to pytest, to Python's functions
and to the tests.

It detects programs that exit, skip, print, patch or replace. It can't detect one that finds the reporter through
pytest's own objects, that changes the data of the tests, or that returns values which claim to equal everything. That
is why sharing must be requested. Must not know how a report is written.
"""

from __future__ import annotations

import builtins
import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

PACKAGES = "/opt/redraft"
FAMILY = ("_pytest", "pluggy", "pytest", "unittest", "__main__")
SEARCHES = frozenset({"gc.get_objects", "gc.get_referrers", "gc.get_referents"})
# The place of an object, the live namespace of that place, the object's name there, the object, and its code if any.
Snapshot = tuple[str, Mapping[str, Any], str, Any, Any]


class TamperWatch:
    """A pytest plugin that calls `report` with the name of what was changed; `watched` are modules that the tests
    import."""

    def __init__(self, report: Callable[[str], None], watched: list[str]) -> None:
        self._report, self._watched = report, watched
        self._before: list[Snapshot] = []
        self._plugins: set[int] = set()
        self._hooks: list[tuple[Any, Any]] = []
        self._items: dict[str, Any] = {}

    def pytest_collection(self, session: Any) -> None:
        """Takes snapshots before anything of the candidate is loaded."""
        self._before = list(_functions(self._watched))
        self._hooks = _hooks(session.config.pluginmanager)
        self._plugins = {id(plugin) for plugin in session.config.pluginmanager.get_plugins()}

    def pytest_collection_finish(self, session: Any) -> None:
        """Takes snapshots of the modules of the collected tests."""
        self._items = {item.nodeid: item for item in session.items}
        for module in {item.module for item in session.items if hasattr(item, "module")}:
            self._before += _functions_of(module.__name__, vars(module))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Compares with the snapshots after each test."""
        self._compare([self._items[nodeid]] if nodeid in self._items else [])

    def pytest_sessionfinish(self, session: Any) -> None:
        """Compares with the snapshots after all tests."""
        self._compare(list(self._items.values()))
        plugins = {id(plugin) for plugin in session.config.pluginmanager.get_plugins()}
        if plugins - self._plugins:
            self._report("the plug-ins of pytest")

    def _compare(self, items: list[Any]) -> None:
        """Reports a change in pytest, unittest, the builtins, the tests' functions or `items`.

        These are some thousand comparisons after each test, in half a millisecond: no name is looked up twice.
        """
        for where, names, name, value, code in self._before:
            if names.get(name) is not value or (code is not None and getattr(value, "__code__", None) is not code):
                self._report(f"{where}.{name}")
                return
        if any(implementation.function is not function for implementation, function in self._hooks):
            self._report("the hooks of pytest")
        if any(callable(getattr(type(item), name, None)) for item in items for name in vars(item)):
            self._report("a collected test")


def _hooks(manager: Any) -> list[tuple[Any, Any]]:
    """Each implementation of a hook, with its function."""
    callers = [caller for caller in vars(manager.hook).values() if hasattr(caller, "get_hookimpls")]
    return [
        (implementation, implementation.function) for caller in callers for implementation in caller.get_hookimpls()
    ]


def watch_searches(report: Callable[[str], None], tests: tuple[str, ...]) -> None:
    """Reports a candidate that lists the interpreter's objects, inspects frames or replaces a function's code.

    Python's own library does the latter two in ordinary programs (namedtuple, logging, asyncio), and the tests may,
    too. An audit hook cannot be removed. It makes a search for this reporter expensive, not impossible.
    """
    frame, busy = sys._getframe, [False]
    library, test_paths = str(Path(os.__file__).parent), tuple(f"/{test}" for test in tests)
    inspect_path = f"{library}/inspect.py"

    def trusted() -> bool:
        busy[0] = True
        try:
            caller = frame(2)
            while caller.f_code.co_filename == inspect_path and caller.f_back is not None:
                caller = caller.f_back
        finally:
            busy[0] = False
        name = caller.f_code.co_filename
        return name.startswith((library, PACKAGES, "<frozen ")) or name.endswith(test_paths)

    def on_event(event: str, arguments: tuple[Any, ...]) -> None:
        if event in SEARCHES:
            report("the interpreter's list of objects")
        elif event == "sys._getframe" and not busy[0]:
            if not trusted():
                report("the frames of the interpreter")
        elif event == "object.__setattr__" and arguments[1] == "__code__" and not trusted():
            report("the code of a function")

    sys.addaudithook(on_event)


def _functions(watched: list[str]) -> Iterator[Snapshot]:
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in FAMILY or name in watched:
            yield "sys.modules", sys.modules, name, module, None
            yield from _functions_of(name, vars(module))
    for name, value in vars(builtins).items():
        if callable(value) and name != "_":
            yield "builtins", vars(builtins), name, value, None


def _functions_of(where: str, names: Mapping[str, Any]) -> Iterator[Snapshot]:
    for name, value in list(names.items()):
        if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
            yield where, names, name, value, getattr(value, "__code__", None)
        elif isinstance(value, type) and value.__module__ == where:
            yield where, names, name, value, None
            for inner, method in list(vars(value).items()):
                if isinstance(method, types.FunctionType | classmethod | staticmethod | property):
                    yield f"{where}.{name}", vars(value), inner, method, getattr(method, "__code__", None)
