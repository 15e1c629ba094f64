"""When an answer has all that was asked for, whatever else the model would write, while it streams. Pure."""

from __future__ import annotations

from typing import Protocol

from tasks.llm.codeblock import FENCE, CodeBlockEnd
from tasks.types import ChatRequest


class AnswerEnd(Protocol):
    """Finds where an answer is complete."""

    def feed(self, text: str) -> int | None:
        """Takes `text`, all of the answer so far; where it is complete, in characters, or None while it is not."""


class LinesEnd:
    """Finds the end of so many lines of text; empty ones and the fences of code blocks don't count."""

    def __init__(self, lines: int) -> None:
        self._lines = lines

    def feed(self, text: str) -> int | None:
        """See `AnswerEnd`: after the last of its lines."""
        end, found = 0, 0
        for line in text.split("\n")[:-1]:
            end += len(line) + 1
            found += bool(line.strip()) and FENCE.match(line) is None
            if found == self._lines:
                return end - 1
        return None


def end_of(request: ChatRequest) -> AnswerEnd | None:
    """What finds the end of the answer to such a request; None where only the model knows it."""
    if request.asks_code or request.asks_block:
        return CodeBlockEnd(any_language=request.asks_block)
    return LinesEnd(request.asks_lines) if request.asks_lines else None
