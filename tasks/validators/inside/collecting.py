"""Finds out whether the tests of a check can be loaded: they are collected, not run, with a stand-in for the solution
that has every name.

Must not know how a report is parsed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock


def stand_in_for_all() -> Any:
    """A module that has every name. Its `mock_calls` show whether loading a test used more than names."""
    module = MagicMock(name="solution")
    module.__path__, module.__all__ = [], []
    return module


class Collector:
    """A pytest plugin that runs no test and reports each missing fixture."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send

    def pytest_collection_finish(self, session: Any) -> None:
        """Reports missing fixtures, and whether loading the tests used the solution."""
        for item in session.items:
            info: Any = getattr(item, "_fixtureinfo", None)
            for name in () if info is None else info.argnames:
                if name != "request" and name not in info.name2fixturedefs:
                    self._send("unfit", test=item.nodeid, fixture=name)
        self._send("used", calls=len(sys.modules["solution"].mock_calls))

    def pytest_runtestloop(self, session: Any) -> bool:
        """Runs no test."""
        return True
