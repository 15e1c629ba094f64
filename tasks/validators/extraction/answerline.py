"""A candidate's answer line, and the layers of markup around its value. Must not know which answer is right.

Removing a layer never drops a digit, a sign or a letter of the value. It only removes a pair of marks around the whole
value, a LaTeX command around the whole value, a full stop, or brackets around one word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.markdown import blocks_of, lines_of

_MARKS = r"[ \t\ufeff\u200b]*(?:(?:#{1,6}|[-*+•]|\d{1,3}[.)])[ \t]+|>[ \t]*)*"
_ANSWER = re.compile(rf"^{_MARKS}(?P<dress>[*_`]{{0,4}})ANSWER(?P<closed>[*_`]{{0,4}})[ \t]*[:：](?P<rest>.*)$")
_MARKUP = ("***", "**", "__", "*", "_", "`")
_PAIRS = (
    *(("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")),
    *(('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"), ("``", "''"), ("「", "」")),
)
_COMMAND = re.compile(
    r"\\(?:boxed|fbox|text|textbf|textit|textrm|texttt|mathrm|mathbf|mathit|mathsf|mathtt|operatorname|mbox|displaystyle)\s*\{"
)
_EDGES = re.compile(r"^(?:\\[,;:! ]|\s|\u200b)+|(?:\\[,;:!]|\\ |\s|\u200b)+$")
_BRACKETED = re.compile(r"[(\[（]([^()\[\]（）,;\s]+)[)\]）]")
_OPTION = re.compile(r"([A-Za-z])\)")
LAYERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerLine:
    """`value` has no Markdown bold, italics or backticks. The answer is `ambiguous` if the last line lies in a closed
    fenced block and differs from the last one outside of all blocks."""

    value: str
    ambiguous: bool = False


def find_answer(text: str) -> AnswerLine | None:
    """The text after `ANSWER:` on the last line that begins with it, apart from marks of a heading, a quotation or a
    list. If nothing follows on that line, the value is the line below, provided that it is the only one. None where no
    line begins with `ANSWER:`."""
    lines = lines_of(text)
    numbers = [number for number, line in enumerate(lines) if "ANSWER" in line and _ANSWER.match(line)]
    if not numbers:
        return None
    value = _value(lines, numbers[-1])
    fenced = {number for block in blocks_of(text) if block.closed for number in range(block.first, block.after)}
    outside = [number for number in numbers if number not in fenced]
    ambiguous = numbers[-1] in fenced and bool(outside) and _value(lines, outside[-1]) != value
    return AnswerLine(value=value, ambiguous=ambiguous)


def answer_of(text: str) -> str | None:
    """The value of the answer line; None where there is none, or it is ambiguous."""
    line = find_answer(text)
    return None if line is None or line.ambiguous else line.value


def layers(value: str, *, brackets: bool = False) -> Iterator[str]:
    """`value`, then `value` without its outermost layer, and so on: `$…$`, `\\(…\\)`, `\\boxed{…}`, `\\text{…}`,
    quotes.

    With `brackets`, layers are also brackets around one word, the bracket after the letter of an option, and a full
    stop.
    """
    inner: str | None = value
    for _ in range(LAYERS):
        if inner is None:
            return
        yield inner
        inner = _without_markup(inner) or (_without_brackets(inner) if brackets else None)


def _value(lines: list[str], number: int) -> str:
    match = _ANSWER.match(lines[number])
    assert match is not None
    value, markup = match["rest"].strip(), match["dress"]
    if markup and not match["closed"] and value.endswith(markup[::-1]):
        value = value[: -len(markup)]
    elif markup and value.startswith(markup[::-1]):  # **ANSWER:** 42
        value = value[len(markup) :]
    return _without_markdown(value.strip() or _value_below(lines[number + 1 :]))


def _value_below(lines: list[str]) -> str:
    """The text below if it is one line, or one line between the marks of a displayed formula."""
    rest = [line.strip() for line in lines if line.strip()]
    displayed = len(rest) == 3 and (rest[0], rest[2]) in (("$$", "$$"), (r"\[", r"\]"))
    return "".join(rest) if displayed or len(rest) == 1 else ""


def _without_markdown(value: str) -> str:
    """`value` without Markdown's marks around all of it."""
    for markup in _MARKUP:
        if (inner := _between(value, markup, markup)) is not None:
            return _without_markdown(inner)
    return value


def _without_markup(value: str) -> str | None:
    bare = _EDGES.sub("", value)
    if bare and bare != value:
        return bare
    for opening, closing in (*((markup, markup) for markup in _MARKUP), *_PAIRS):
        if (inner := _between(value, opening, closing)) is not None:
            return inner
    command = _COMMAND.match(value)
    if command and _closing_brace(value, command.end()) == len(value) - 1:
        return value[command.end() : -1].strip() or None
    return None


def _without_brackets(value: str) -> str | None:
    if match := _BRACKETED.fullmatch(value) or _OPTION.fullmatch(value):
        return match[1]
    if value[-1:] in (".", "。") and value[-2:-1] not in (".", "。", ""):
        return value[:-1].rstrip()
    return None


def _between(value: str, opening: str, closing: str) -> str | None:
    """The text between two marks, if they enclose the whole value and do not occur inside."""
    if len(value) <= len(opening) + len(closing) or not (value.startswith(opening) and value.endswith(closing)):
        return None
    inner = value[len(opening) : -len(closing)]
    return None if opening in inner or closing in inner else inner.strip() or None


def _closing_brace(value: str, position: int) -> int:
    """The position of the brace that closes the one before `at`; the end of the text where there is none."""
    depth = 1
    while position < len(value):
        if value[position] == "\\":
            position += 1
        elif value[position] in "{}":
            depth += 1 if value[position] == "{" else -1
            if depth == 0:
                return position
        position += 1
    return position
