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
    """The prompt and its tokens, at most `room`: cut at least as far as `least` says, and no further than needed.

    The prompt prefix is cut to `prefix_room` whatever follows it: so it is the same for every operator, and stays in
    the prefix cache. The rest is cut to the room that is left. Raises `PromptTooLong` where even the shortest prompt
    does not fit.
    """
    whole = build(least)
    tokens = count(whole)
    if tokens <= min(room, prefix_room):
        return whole, tokens
    prefix = next(
        (step for step in range(least.prefix, STEPS) if _prefix_tokens(build, count, step) <= prefix_room), STEPS
    )
    for step in range(least.rest or 0, STEPS + 1):
        cut = Cut(prefix=prefix, rest=step)
        if cut != least:
            whole = build(cut)
            tokens = count(whole)
        if tokens <= room:
            return whole, tokens
    raise PromptTooLong(tokens, room)


def _prefix_tokens(build: Build, count: Count, step: int) -> int:
    return count(build(Cut(prefix=step, rest=None)))
