"""The guard's work per token is the same however long the text is: counted in steps and in what it keeps, not in time.

Whatever C function a step calls works on what the guard keeps and on the new piece, so bounded steps over bounded
state are bounded work.
"""

from __future__ import annotations

import pickle
import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from tasks.llm.compression import EVERY_CHARS, SELDOM
from tasks.llm.guard import WINDOW_CHARS, Guard
from tests.corpus import made, words

STRETCH = 16 * EVERY_CHARS * SELDOM
LONG = 12 * STRETCH


def _prose(rng: random.Random) -> str:
    return words.prose(rng, LONG)


def _program(rng: random.Random) -> str:
    return "\n\n".join(made.MAKERS["code"](rng) for _ in range(300))


def _one_line(rng: random.Random) -> str:
    return " ".join(words.sentence(rng) for _ in range(LONG // 30))


def _zeros(rng: random.Random) -> str:
    """Rows of zeros that are broken just before they would be a loop: the most periods to look at."""
    return "".join("0, " * rng.randint(600, 790) + f"{rng.random()}\n" for _ in range(LONG // 2_000))


def _almost(rng: random.Random) -> str:
    """Two copies of everything, never a third."""
    return "".join(2 * (words.sentence(rng) + "\n") for _ in range(LONG // 60))


@pytest.mark.parametrize("write", [_prose, _program, _one_line, _zeros, _almost])
def test_steps_and_state_do_not_grow_with_the_text(write: Callable[[random.Random], str]) -> None:
    text = write(random.Random(5))
    assert len(text) >= LONG
    guard, steps, sizes = Guard(), list[int](), list[int]()
    for start in range(0, LONG, STRETCH):
        steps.append(_steps(lambda start=start: guard.feed(text[start : start + STRETCH])))  # type: ignore[misc]
        sizes.append(len(pickle.dumps(guard)))
        assert guard.hit is None
    early, late = steps[2:6], steps[-4:]  # the window is full from the third stretch on
    assert max(late) <= 1.25 * max(early)
    assert max(sizes) <= 2 * WINDOW_CHARS + 20_000


def _steps(act: Callable[[], Any]) -> int:
    """How many lines of Python `act` executes."""
    count, before = 0, sys.gettrace()

    def step(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return step

    sys.settrace(step)
    try:
        act()
    finally:
        sys.settrace(before)
    return count
