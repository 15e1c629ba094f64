"""How much room each part of a prompt has, and how a text is shortened and fenced. Pure; must not know what a prompt
says."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.types import Cut, Omission

# Characters, about four to a token. The problem and its attachments have no limit but the model's context.
CANDIDATE_CHARS = 6_000
# Of one that repeats itself, and that no check accepted: a model goes on with what it is shown.
LET_THROUGH_CHARS = 1_200
FEEDBACK_CHARS = 1_500
# Of all the files of a job together, and of those that a candidate changes: a model edits what it sees whole.
FILES_CHARS = 48_000
CHANGED_CHARS = 24_000
# Of all visible tests together, and of all rubrics: room for all but the longest, which would crowd out the problem.
TESTS_CHARS = 24_000
RUBRIC_CHARS = 24_000
# A judge that has not read all of an answer can't vouch for it: room for all that a model writes at once.
JUDGED_CHARS = 20_000
# Problems that a review may list.
BUGS = 5
# Of all advice to a job together, whoever gave it.
HINTS_CHARS = 8_000
# Of each line of a lesson, where it is shown and where it is kept.
LESSON_CHARS = 400
WHOLE = Cut()


class Shortener:
    """Shortens the blocks of one prompt as its `cut` says; `omissions` is what it has left out so far."""

    def __init__(self, cut: Cut) -> None:
        self.cut = cut
        self.omissions: list[Omission] = []

    def in_prefix(self, chars: int) -> int:
        """The room of a part that all prompts of the job have, beside the problem."""
        return chars >> self.cut.prefix

    def in_rest(self, chars: int) -> int:
        """The room of a part that follows the prompt prefix."""
        return chars >> self.cut.rest

    def shorten(self, block: str, text: str, chars: int) -> str:
        """The text of `block` in at most `chars` characters."""
        if len(text) > chars:
            self.omissions.append(Omission(block=block, left_out=len(text) - chars, chars=len(text)))
        return shorten(text, chars)


def shorten(text: str, chars: int) -> str:
    """Two thirds from the beginning and one from the end, where the text is longer than `chars`."""
    if len(text) <= chars:
        return text
    mark = f"\n… ({len(text) - chars:,} characters left out) …\n"
    room = max(0, chars - len(mark))
    tail = room // 3
    return text[: room - tail] + mark + (text[-tail:] if tail else "")


def shares(lengths: Sequence[int], room: int | None) -> list[int]:
    """How much of each text is shown: the long ones share the room that the short ones leave. All of it without a
    limit."""
    shown = list(lengths)
    if room is None:
        return shown
    by_length = sorted(range(len(lengths)), key=lambda number: lengths[number])
    for rank, number in enumerate(by_length):
        shown[number] = min(lengths[number], room // (len(lengths) - rank))
        room -= shown[number]
    return shown


def fence(text: str, language: str) -> str:
    """A code block whose fence is longer than any inside it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    ticks = "`" * (longest + 1)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"
