"""What a candidate's text holds: its last fenced block, its answer line. Pure; must not know any validator."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from typing import Any

_FENCE = re.compile(r"^(?P<indent>[ \t]*)(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)$")
_ANSWER = re.compile(r"^[ \t]*(?P<dress>[*_`]{0,4})ANSWER:(?P<rest>.*)$")
_SCALAR = re.compile(r'"[^"\n]*"|-?\d[\d.eE+-]*|true|false|null')
_OPENS = re.compile(r"[{\[]")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_DRESSES = ("***", "**", "__", "*", "_", "`")


def last_fenced_block(text: str) -> str | None:
    """The content of the last fenced block that is not empty, dedented; None where there is none.

    A fence that is never closed (a text cut off at its token limit) runs to the end.
    """
    return next((block for _, block in reversed(_blocks(text))), None)


def code_of(text: str) -> str:
    """A candidate's code: its last fenced block, or all of it where there is none."""
    block = last_fenced_block(text)
    return text if block is None else block


def json_of(text: str) -> str | None:
    """A candidate's JSON as it is written: its last fenced block marked `json`; else its last fenced block; else the
    last object or array in the text, or a scalar that is all of it. None where there is none; what is in a block
    need not be valid."""
    blocks = _blocks(text)
    marked = [block for info, block in blocks if info.lower().startswith("json")]
    if blocks:
        return (marked or [blocks[-1][1]])[-1]
    decoder, found, at = json.JSONDecoder(), None, 0
    while begin := _OPENS.search(text, at):
        try:
            _, at = decoder.raw_decode(text, begin.start())
            found = text[begin.start() : at]
        except (ValueError, RecursionError):
            at = begin.end()
    return found or (text.strip() if _SCALAR.fullmatch(text.strip()) else None)


def strict_json(text: str) -> Any:
    """The value of one JSON text. Raises `ValueError`, with what is wrong and where, for NaN and the infinities, a
    name given twice and what is nested too deeply too."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} (line {error.lineno} column {error.colno})") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


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


def printable(text: str) -> str:
    """`text` with a replacement for each character that Postgres or a terminal can't take."""
    return _UNPRINTABLE.sub("\ufffd", text)


def _blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks that are not empty: what stands behind the opening fence, and the content, dedented."""
    found: list[tuple[str, str]] = []
    opened: re.Match[str] | None = None
    lines: list[str] = []
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if opened is None:
            if fence:
                opened, lines = fence, []
        elif fence and _closes(opened, fence):
            found.append((opened["info"].strip(), _block(lines)))
            opened = None
        else:
            lines.append(line)
    if opened is not None:
        found.append((opened["info"].strip(), _block(lines)))
    return [(info, block) for info, block in found if block]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the name {clipped(twice, 100)!r} is given twice in one object")
    return fields


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _closes(opened: re.Match[str], fence: re.Match[str]) -> bool:
    mark = opened["mark"]
    return fence["mark"][0] == mark[0] and len(fence["mark"]) >= len(mark) and not fence["info"].strip()


def _block(lines: list[str]) -> str:
    block = textwrap.dedent("\n".join(lines))
    return block + "\n" if block.strip() else ""


def _undress(value: str) -> str:
    for dress in _DRESSES:
        inner = value[len(dress) : -len(dress)]
        if len(value) > 2 * len(dress) and value.startswith(dress) and value.endswith(dress) and dress not in inner:
            return _undress(inner.strip())
    return value
