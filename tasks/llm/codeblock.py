"""Where an answer that is one code block is complete, while it streams. Pure; must not know what the code is for.

A small model goes on after its solution with examples and explanations that nobody reads, often for twice as long as
the code itself.
"""

from __future__ import annotations

import re

FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,})(?P<info>[^`]*)$")
# A block of Python without one of these is an import, a call or an example, and what was asked for may still come.
DEFINITION = re.compile(r"^(?:async[ \t]+def|def|class)[ \t]", re.MULTILINE)
# A block of these is how to run something, or what it prints.
BESIDE = frozenset({"bash", "sh", "shell", "console", "zsh", "output"})


class CodeBlockEnd:
    """Finds the end of the first closed block that defines something: a function or class in Python, and with
    `any_language` whatever another language says. A fence counts once its line has ended."""

    def __init__(self, *, any_language: bool = False) -> None:
        self._text, self._seen, self._mark, self._begun, self._info = "", 0, "", 0, ""
        self._any_language = any_language

    def feed(self, text: str) -> int | None:
        """Takes `text`, all of the answer so far; where its block ends, in characters, or None while it goes on. A
        shorter text is another one: what was taken for the answer has turned out to be thoughts."""
        if len(text) < self._seen:
            self._seen, self._mark = 0, ""
        self._text = text
        while (line_end := text.find("\n", self._seen)) >= 0:
            begun, self._seen = self._seen, line_end + 1
            if self._closes(text[begun:line_end].rstrip("\r"), begun):
                return line_end
        return None

    def _closes(self, line: str, begun: int) -> bool:
        fence = FENCE.match(line)
        if fence is None:
            return False
        mark, info = fence["mark"], fence["info"].strip()
        if not self._mark:
            self._mark, self._begun, self._info = mark, self._seen, info.lower()
            return False
        if len(mark) < len(self._mark) or info:
            return False
        self._mark = ""
        return self._defines(self._text[self._begun : begun])

    def _defines(self, block: str) -> bool:
        if self._any_language and not self._info.startswith(("py", *BESIDE)):
            return bool(block.strip())
        return DEFINITION.search(block) is not None
