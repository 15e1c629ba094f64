"""How much room each part of a prompt has, and how a text is shortened and fenced. Pure; must not know what a prompt
says."""

from __future__ import annotations

import re

from tasks.types import Cut

# Characters, about four to a token: all but the longest problems fit an 8K window.
PROBLEM_CHARS = 24_000
CANDIDATE_CHARS = 6_000
FEEDBACK_CHARS = 1_500
TESTS_CHARS = 4_000
RUBRIC_CHARS = 4_000
# A judge that has not read all of an answer can't vouch for it: room for all that a model writes at once.
JUDGED_CHARS = 20_000
# Problems that a review may list.
BUGS = 5
# Of all text attachments together.
ATTACHED_CHARS = 12_000
# Of each line of a lesson, where it is shown and where it is kept.
LESSON_CHARS = 400
WHOLE = Cut()


def room_for(chars: int, cut: Cut) -> int:
    """Of a part that follows the prompt prefix."""
    return chars >> (cut.rest or 0)


def shorten(text: str, chars: int) -> str:
    """Two thirds from the beginning and one from the end, where the text is longer than `chars`."""
    if len(text) <= chars:
        return text
    mark = f"\n… ({len(text) - chars:,} characters left out) …\n"
    room = max(0, chars - len(mark))
    tail = room // 3
    return text[: room - tail] + mark + (text[-tail:] if tail else "")


def fence(text: str, language: str) -> str:
    """A code block whose fence is longer than any inside it."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    ticks = "`" * (longest + 1)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"
