"""A candidate's JSON, found in one pass over the text, and read strictly. Must not know any schema."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from tasks.validators.extraction.blocks import blocks_of
from tasks.validators.text import clipped

_SPACE = re.compile(r"[ \t\n\r]*")
_OPENS = re.compile(r"[{\[]")
_STRING = re.compile(r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"')
# NaN and the infinities are taken as Python's own reader does, so that what is wrong with them can be said.
_SCALAR = re.compile(
    _STRING.pattern + r"|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null|NaN|-?Infinity"
)
_PAIRS = {"}": "{", "]": "["}


class Scanner:
    """Finds objects and arrays that are whole, from left to right; `steps` counts the tokens that it looked at.

    Where a value breaks off, everything that is open around it is broken too: the search goes on there, not at the
    next bracket inside, so that brackets without end cost one look each.
    """

    def __init__(self, text: str) -> None:
        self.steps = 0
        self._text = text
        self._at = 0
        self._string_at = -1
        self._opened: list[int] = []
        self._last = (0, 0)

    def last(self) -> str | None:
        """The last object or array in the text that no other holds."""
        while opening := _OPENS.search(self._text, self._at):
            self._opened, self._at, self._string_at = [opening.start()], opening.end(), -1
            expected = "first"
            while self._opened and expected:
                self.steps += 1
                self._skip_space()
                expected = self._step(expected)
        begin, end = self._last
        return self._text[begin:end] or None

    def _step(self, expected: str) -> str:
        """Reads one token, or a name with its colon; what may follow, "" where the value is broken."""
        char = self._text[self._at : self._at + 1]
        inside = self._text[self._opened[-1]]
        if char in _PAIRS and expected in ("first", "comma") and inside == _PAIRS[char]:
            self._at += 1
            self._last = (self._opened.pop(), self._at)
            return "comma"
        if expected == "comma":
            self._at += char == ","
            return ("value" if inside == "[" else "name") if char == "," else self._broken("")
        if inside == "{" and expected != "value":
            return "value" if self._name() else self._broken(char)
        if char in ("{", "["):
            self._opened.append(self._at)
            self._at += 1
            return "first"
        return "comma" if self._scalar(char) else self._broken(char)

    def _name(self) -> bool:
        name = _STRING.match(self._text, self._at)
        if name is None:
            return False
        self._string_at, self._at = self._at, name.end()
        self._skip_space()
        self._at += (found := self._text.startswith(":", self._at))
        return found

    def _scalar(self, char: str) -> bool:
        scalar = _SCALAR.match(self._text, self._at)
        if scalar is None:
            return False
        self._string_at = self._at if char == '"' else self._string_at
        self._at = scalar.end()
        return True

    def _broken(self, char: str) -> str:
        """Goes on where the value broke, or inside the last string before that, or the one that never ends: prose may
        hold brackets between quotes."""
        if self._string_at >= 0:
            self._at = self._string_at + 1
        elif char == '"':
            self._at += 1
        return ""

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at


def json_of(text: str) -> str | None:
    """A candidate's JSON as it is written: its last fenced block marked `json`; else its last block that holds JSON;
    else the last object or array in the text; else its last block, or a scalar that is all of the text. None where
    there is none; what is in a block need not be valid."""
    blocks = blocks_of(text)
    marked = [block.content for block in blocks if block.info.startswith("json")]
    if marked:
        return marked[-1]
    whole = [block.content for block in blocks if _is_json(block.content)]
    if whole:
        return whole[-1]
    found = Scanner(text).last()
    if found is not None:
        return found
    bare = text.strip()
    return blocks[-1].content if blocks else bare if _SCALAR.fullmatch(bare) else None


def strict_json(text: str) -> Any:
    """The value of one JSON text. Raises `ValueError`, with what is wrong and where, for NaN and the infinities, a
    name given twice and what is nested too deeply too."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} (line {error.lineno} column {error.colno})") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _is_json(content: str) -> bool:
    bare = content.strip()
    return bare[:1] in ("{", "[") and Scanner(bare).last() == bare


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the name {clipped(twice, 100)!r} is given twice in one object")
    return fields


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")
