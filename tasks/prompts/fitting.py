"""Makes a prompt as short as the model's context demands, by the model's own count. Pure: how tokens are counted is an
argument, and it must not know what a prompt says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tasks.errors import PromptTooLong
from tasks.types import Cut, Message

# Each step halves what may be cut: after seven of them nothing is left to shorten.
STEPS = 7

Build = Callable[[Cut], Sequence[Message]]
Count = Callable[[Sequence[Message]], int]


def fit(build: Build, count: Count, *, room: int, prefix_room: int, least: Cut) -> tuple[Sequence[Message], int]:
    """The prompt and its tokens, at most `room`, cut as little as it takes and `least` at least.

    The ground, with which all prompts of a job begin, is cut by itself to `prefix_room`: so it is the same for every
    operator, and stays in the prefix cache. What follows is cut to what it leaves. Raises `PromptTooLong` where even
    the shortest does not fit.
    """
    whole = build(least)
    tokens = count(whole)
    if tokens <= min(room, prefix_room):
        return whole, tokens
    ground = next((step for step in range(least.ground, STEPS) if _prefix(build, count, step) <= prefix_room), STEPS)
    for step in range(least.rest or 0, STEPS + 1):
        cut = Cut(ground=ground, rest=step)
        if cut != least:
            whole = build(cut)
            tokens = count(whole)
        if tokens <= room:
            return whole, tokens
    raise PromptTooLong(tokens, room)


def _prefix(build: Build, count: Count, step: int) -> int:
    return count(build(Cut(ground=step, rest=None)))
