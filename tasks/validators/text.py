"""What a candidate's text holds: its last fenced block, its answer line. Pure; must not know any validator."""

from __future__ import annotations

import re
import textwrap

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)$")
_ANSWER = re.compile(r"^[ \t]*(?P<dress>[*_`]{0,4})ANSWER:(?P<rest>.*)$")
_DRESSES = ("***", "**", "__", "*", "_", "`")


def last_fenced_block(text: str) -> str | None:
    """The content of the last fenced block that is not empty, dedented; None where there is none.

    A fence that is never closed (a text cut off at its token limit) runs to the end.
    """
    found: str | None = None
    opened: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if opened is None:
            if fence:
                opened, lines = fence, []
        elif fence and _closes(opened, fence):
            found = _block(lines) or found
            opened = None
        else:
            lines.append(line)
    if opened is not None:
        found = _block(lines) or found
    return found


def code_of(text: str) -> str:
    """A candidate's code: its last fenced block, or all of it where there is none."""
    block = last_fenced_block(text)
    return text if block is None else block


def answer_of(text: str) -> str | None:
    """What follows `ANSWER:` on the last line that begins so, without Markdown's bold, italics and
    backticks around the line or the value; None where no line begins so."""
    for line in reversed(text.splitlines()):
        match = _ANSWER.match(line)
        if match:
            value = match["rest"].strip()
            dress = match["dress"]
            if dress and value.endswith(dress[::-1]):
                value = value[: -len(dress)]
            elif dress and value.startswith(dress[::-1]):  # **ANSWER:** 42
                value = value[len(dress) :]
            return _undress(value.strip())
    return None


def clipped(text: str, chars: int) -> str:
    """`text` in at most `chars` characters, its end cut."""
    return text if len(text) <= chars else text[: max(0, chars - 2)].rstrip() + " …"


def _closes(opened: re.Match[str], fence: re.Match[str]) -> bool:
    mark = opened["mark"]
    return fence["mark"][0] == mark[0] and len(fence["mark"]) >= len(mark) and not fence["info"].strip()


def _block(lines: list[str]) -> str | None:
    block = textwrap.dedent("\n".join(lines))
    return block + "\n" if block.strip() else None


def _undress(value: str) -> str:
    for dress in _DRESSES:
        inner = value[len(dress) : -len(dress)]
        if len(value) > 2 * len(dress) and value.startswith(dress) and value.endswith(dress) and dress not in inner:
            return _undress(inner.strip())
    return value
