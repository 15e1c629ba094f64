"""A prompt is counted once, however many ask."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.llm.counting import Counts
from tasks.types import Message


def prompt(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


def test_eight_drafts_of_one_prompt_count_it_once() -> None:
    counts, calls, go = Counts(), list[int](), threading.Event()

    def count() -> int:
        calls.append(1)
        assert go.wait(10)
        return 17

    with ThreadPoolExecutor(max_workers=8) as pool:
        drafts = [pool.submit(counts.of, prompt("the same"), count) for _ in range(8)]
        go.set()
        assert [draft.result() for draft in drafts] == [17] * 8
    assert len(calls) == 1


def test_other_words_or_roles_are_counted_by_themselves() -> None:
    counts = Counts()
    assert counts.of(prompt("ab"), lambda: 1) == 1
    assert counts.of(prompt("a") + prompt("b"), lambda: 2) == 2
    assert counts.of((Message(role="assistant", content="ab"),), lambda: 3) == 3
    assert counts.of(prompt("ab"), lambda: 4) == 1


def test_a_count_that_failed_is_asked_again() -> None:
    counts = Counts()
    with pytest.raises(ZeroDivisionError):
        counts.of(prompt("a"), lambda: 1 // 0)
    assert counts.of(prompt("a"), lambda: None) is None
    assert counts.of(prompt("a"), lambda: 5) == 5


def test_the_oldest_count_goes_first() -> None:
    counts = Counts(capacity=2)
    for text in ("a", "b", "a", "c"):
        counts.of(prompt(text), lambda: 1)
    assert counts.of(prompt("a"), lambda: 2) == 1
    assert counts.of(prompt("b"), lambda: 2) == 2
