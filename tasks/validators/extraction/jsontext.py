"""Finds a candidate's JSON in one pass over the text, and parses it strictly. Must not know any schema."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from tasks.markdown import blocks_of
from tasks.validators.text import clipped

_SPACE = re.compile(r"[ \t\n\r]*")
_OPENING = re.compile(r"[{\[]")
_STRING = re.compile(r'"[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"')
# NaN and the infinities are accepted here, as by Python's own parser, so that `strict_json` can explain the error.
_SCALAR = re.compile(
    _STRING.pattern + r"|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null|NaN|-?Infinity"
)
_PAIRS = {"}": "{", "]": "["}


class Scanner:
    """Finds complete objects and arrays, from left to right; `steps` counts the tokens that it examined.

    Where a value is broken, every open value around it is broken, too. The search then goes on at that position and not
    at the next bracket inside, so that endless brackets cost one step each.
    """

    def __init__(self, text: str) -> None:
        self.steps = 0
        self._text = text
        self._position = 0
        self._string_position = -1
        self._open_brackets: list[int] = []
        self._last = (0, 0)

    def last(self) -> str | None:
        """The last object or array in the text that is not part of another."""
        while opening := _OPENING.search(self._text, self._position):
            self._open_brackets, self._position, self._string_position = [opening.start()], opening.end(), -1
            expected = "first"
            while self._open_brackets and expected:
                self.steps += 1
                self._skip_space()
                expected = self._step(expected)
        begin, end = self._last
        return self._text[begin:end] or None

    def _step(self, expected: str) -> str:
        """Reads one token, or a name with its colon. Returns what may follow, or "" where the value is broken."""
        char = self._text[self._position : self._position + 1]
        inside = self._text[self._open_brackets[-1]]
        if char in _PAIRS and expected in ("first", "comma") and inside == _PAIRS[char]:
            self._position += 1
            self._last = (self._open_brackets.pop(), self._position)
            return "comma"
        if expected == "comma":
            self._position += char == ","
            return ("value" if inside == "[" else "name") if char == "," else self._fail("")
        if inside == "{" and expected != "value":
            return "value" if self._name() else self._fail(char)
        if char in ("{", "["):
            self._open_brackets.append(self._position)
            self._position += 1
            return "first"
        return "comma" if self._scalar(char) else self._fail(char)

    def _name(self) -> bool:
        name = _STRING.match(self._text, self._position)
        if name is None:
            return False
        self._string_position, self._position = self._position, name.end()
        self._skip_space()
        self._position += (has_colon := self._text.startswith(":", self._position))
        return has_colon

    def _scalar(self, char: str) -> bool:
        scalar = _SCALAR.match(self._text, self._position)
        if scalar is None:
            return False
        self._string_position = self._position if char == '"' else self._string_position
        self._position = scalar.end()
        return True

    def _fail(self, char: str) -> str:
        """Moves to where the search goes on after a broken value: inside the last string before it, or inside a string
        that never ends, since prose may contain brackets between quotes; otherwise where the value broke."""
        if self._string_position >= 0:
            self._position = self._string_position + 1
        elif char == '"':
            self._position += 1
        return ""

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._position)
        self._position = space.end() if space else self._position


def json_of(text: str) -> str | None:
    """A candidate's JSON as text, the first that exists of: the last fenced block marked `json`; the last block that is
    valid JSON; the last object or array in the text; the last block; a scalar that is the whole text. None where there
    is none. The content of a block need not be valid."""
    blocks = blocks_of(text)
    json_blocks = [block.content for block in blocks if block.info.startswith("json")]
    if json_blocks:
        return json_blocks[-1]
    valid_blocks = [block.content for block in blocks if _is_json(block.content)]
    if valid_blocks:
        return valid_blocks[-1]
    last_value = Scanner(text).last()
    if last_value is not None:
        return last_value
    bare = text.strip()
    return blocks[-1].content if blocks else bare if _SCALAR.fullmatch(bare) else None


def strict_json(text: str) -> Any:
    """The value of one JSON text. Raises `ValueError` that says what is wrong and where, also for NaN, infinities,
    duplicate names and too deep nesting."""
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
        duplicate = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the name {clipped(duplicate, 100)!r} is given twice in one object")
    return fields


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")
