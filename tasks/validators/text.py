"""What a candidate's text holds: its last fenced block, its answer line. Pure; must not know any validator."""

from __future__ import annotations

import json
import re
import textwrap

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)$")
_ANSWER = re.compile(r"^[ \t]*(?P<dress>[*_`]{0,4})ANSWER:(?P<rest>.*)$")
_JSON_START = re.compile(r"[{\[]")
# Bounds the work on a text of brackets.
JSON_LOOKS = 1_000
_DRESSES = ("***", "**", "__", "*", "_", "`")


def last_fenced_block(text: str) -> str | None:
    """The content of the last fenced block that is not empty, dedented; None where there is none."""
    blocks = fenced_blocks(text)
    return blocks[-1] if blocks else None


def fenced_blocks(text: str) -> list[str]:
    """The contents of all fenced blocks that are not empty, dedented.

    A fence that is never closed (a text cut off at its token limit) runs to the end.
    """
    found: list[str | None] = []
    opened: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if opened is None:
            if fence:
                opened, lines = fence, []
        elif fence and _closes(opened, fence):
            found.append(_block(lines))
            opened = None
        else:
            lines.append(line)
    if opened is not None:
        found.append(_block(lines))
    return [block for block in found if block]


def code_of(text: str) -> str:
    """A candidate's code: its last fenced block, or all of it where there is none."""
    block = last_fenced_block(text)
    return text if block is None else block


def json_of(text: str) -> str | None:
    """The last JSON document: that of the last fenced block that holds one, else all of the text, else the last object
    or list that stands in it. None where there is none."""
    blocks = [block for block in fenced_blocks(text) if _is_json(block)]
    if blocks:
        return blocks[-1]
    if _is_json(text):
        return text
    decoder = json.JSONDecoder()
    found: str | None = None
    place, looks = 0, 0
    while looks < JSON_LOOKS and (start := _JSON_START.search(text, place)) is not None:
        looks += 1
        try:
            _, place = decoder.raw_decode(text, start.start())
            found = text[start.start() : place]
        except (ValueError, RecursionError):
            place = start.start() + 1
    return found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


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
