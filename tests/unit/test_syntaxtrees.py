"""Python's parser for threads that parse at the same time."""

from __future__ import annotations

import ast
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tasks import syntaxtrees


@pytest.mark.parametrize(("name", "call"), [("parse", syntaxtrees.parse), ("literal_eval", syntaxtrees.literal)])
def test_one_thread_parses_at_a_time(name: str, call: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, lock = 0, 0, threading.Lock()

    def watched(source: str) -> str:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.01)
        with lock:
            inside -= 1
        return source.upper()

    monkeypatch.setattr(ast, name, watched)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, "abcdefgh")) == list("ABCDEFGH")
    assert most == 1


def test_a_parse_within_a_parse_and_after_a_fault_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SyntaxError):
        syntaxtrees.parse("def")
    assert syntaxtrees.literal("[1, {'a': 2}]") == [1, {"a": 2}]
    real = ast.parse
    monkeypatch.setattr(ast, "parse", lambda source: real(source) if source == "x" else syntaxtrees.parse("x"))
    assert ast.dump(syntaxtrees.parse("y")) == ast.dump(real("x"))
