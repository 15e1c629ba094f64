"""Makes a prompt as short as the model's context demands, by the model's own count. Pure: how tokens are counted is an
argument, and it must not know what a prompt says."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from tasks.errors import ProblemTooLong, PromptTooLong
from tasks.types import Cut, Message, Prompt

# Each step halves what may be cut: after seven of them next to nothing is left to shorten.
STEPS = 7

Build = Callable[[Cut], Prompt]
Count = Callable[[Sequence[Message]], int]


def fit(
    build: Build, count: Count, *, room: int, prefix_room: int, least: Cut, cut_problem: bool = False
) -> tuple[Prompt, int]:
    """The prompt and its tokens, at most `room`: cut at least as far as `least` says, and no further than needed.

    The prompt prefix is cut to `prefix_room` whatever follows it: so it is the same for every operator, and stays in
    the prefix cache. The problem in it is shortened only where `cut_problem` allows it. What follows is cut to the room
    that is left. The two are counted apart, so that a cache of counts serves the longer part; their sum is a few tokens
    more than their whole.

    Raises `ProblemTooLong` where the problem alone is longer than `prefix_room`, `PromptTooLong` where even the
    shortest prompt does not fit.
    """
    cut, head = _fit_prefix(build, count, prefix_room, least, cut_problem=cut_problem)
    tokens = head
    for step in range(least.rest, STEPS + 1):
        prompt = build(dataclasses.replace(cut, rest=step))
        tokens = head + (count(prompt.tail) if prompt.tail else 0)
        if tokens <= room:
            return prompt, tokens
    raise PromptTooLong(tokens, room)


def _fit_prefix(build: Build, count: Count, room: int, least: Cut, *, cut_problem: bool) -> tuple[Cut, int]:
    """How the prefix is cut, and its tokens. A problem too long for the room is noticed at the second count."""

    def head(cut: Cut) -> int:
        return count(build(cut).head)

    if (tokens := head(least)) <= room:
        return least, tokens
    *steps, shortest = _steps(least)
    if (fewest := head(shortest)) <= room:
        return next(((cut, tokens) for cut in steps if (tokens := head(cut)) <= room), (shortest, fewest))
    if not cut_problem:
        raise ProblemTooLong(fewest, room)
    return _shorten_problem(head, build(least).problem_chars, room, least)


def _shorten_problem(head: Callable[[Cut], int], chars: int, room: int, least: Cut) -> tuple[Cut, int]:
    """As much of the problem's `chars` as fits beside its checks and lessons, which have half the room at most."""
    empty = dataclasses.replace(least, problem=0)
    steps = (empty, *_steps(empty))
    empty = next((cut for cut in steps if head(cut) <= room // 2), steps[-1])
    others, whole = head(empty), head(dataclasses.replace(empty, problem=None))
    chars = chars * max(0, room - others) // max(1, whole - others)
    while chars > 0:
        cut = dataclasses.replace(empty, problem=chars)
        if (tokens := head(cut)) <= room:
            return cut, tokens
        chars = min(chars * 19 // 20, chars * room // tokens)
    raise PromptTooLong(others, room)


def _steps(least: Cut) -> Sequence[Cut]:
    return [dataclasses.replace(least, prefix=step) for step in range(least.prefix + 1, STEPS + 1)]
