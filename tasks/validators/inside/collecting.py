"""Whether the tests of a check can be loaded at all: they are collected, not run, with a stand-in that has every name.

Must not know how a report is read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock


def stand_in_for_all() -> Any:
    """A module that has every name. Its `mock_calls` say whether a test used more than names while it was loaded."""
    module = MagicMock(name="solution")
    module.__path__, module.__all__ = [], []
    return module


class Collector:
    """A pytest plugin: runs no test, and reports each fixture that nobody offers."""

    def __init__(self, send: Callable[..., None]) -> None:
        self._send = send

    def pytest_collection_finish(self, session: Any) -> None:
        """All tests are known."""
        for item in session.items:
            info: Any = getattr(item, "_fixtureinfo", None)
            for name in () if info is None else info.argnames:
                if name != "request" and name not in info.name2fixturedefs:
                    self._send("unfit", test=item.nodeid, fixture=name)
        self._send("used", calls=len(sys.modules["solution"].mock_calls))

    def pytest_runtestloop(self, session: Any) -> bool:
        """Nothing is run."""
        return True
