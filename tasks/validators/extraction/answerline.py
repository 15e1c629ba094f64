"""A candidate's answer line, and the layers of dress that a value may wear. Must not know what is right.

Taking a layer off never drops a digit, a sign or a letter of the value: only marks that stand in pairs around all of
it, a command of LaTeX that sets all of it, a full stop, or brackets around one word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.validators.extraction.blocks import blocks_of, lines_of

_MARKS = r"[ \t\ufeff\u200b]*(?:(?:#{1,6}|[-*+•]|\d{1,3}[.)])[ \t]+|>[ \t]*)*"
_ANSWER = re.compile(rf"^{_MARKS}(?P<dress>[*_`]{{0,4}})ANSWER(?P<closed>[*_`]{{0,4}})[ \t]*[:：](?P<rest>.*)$")
_DRESSES = ("***", "**", "__", "*", "_", "`")
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
    """`value` without Markdown's bold, italics and backticks. `ambiguous`: the last line lies in a closed fenced block
    and says something else than the last one outside of all blocks."""

    value: str
    ambiguous: bool = False


def find_answer(text: str) -> AnswerLine | None:
    """What follows `ANSWER:` on the last line that begins so, behind marks of a heading, a quotation or a list; the
    line below where nothing follows and nothing else comes. None where no line begins so."""
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
    """The value of the answer line; None where there is none, or not one."""
    line = find_answer(text)
    return None if line is None or line.ambiguous else line.value


def layers(value: str, *, brackets: bool = False) -> Iterator[str]:
    """`value`, then without its outermost dress, and so on: `$…$`, `\\(…\\)`, `\\boxed{…}`, `\\text{…}`, quotes.

    With `brackets` also brackets around one word, the bracket behind the letter of an option, and a full stop.
    """
    inner: str | None = value
    for _ in range(LAYERS):
        if inner is None:
            return
        yield inner
        inner = _undressed(inner) or (_unbracketed(inner) if brackets else None)


def _value(lines: list[str], number: int) -> str:
    match = _ANSWER.match(lines[number])
    assert match is not None
    value, dress = match["rest"].strip(), match["dress"]
    if dress and not match["closed"] and value.endswith(dress[::-1]):
        value = value[: -len(dress)]
    elif dress and value.startswith(dress[::-1]):  # **ANSWER:** 42
        value = value[len(dress) :]
    return _plain(value.strip() or _below(lines[number + 1 :]))


def _below(lines: list[str]) -> str:
    """What stands below where it is one line, or one between the marks of a displayed formula."""
    rest = [line.strip() for line in lines if line.strip()]
    displayed = len(rest) == 3 and (rest[0], rest[2]) in (("$$", "$$"), (r"\[", r"\]"))
    return "".join(rest) if displayed or len(rest) == 1 else ""


def _plain(value: str) -> str:
    """Without Markdown's own marks around all of it."""
    for dress in _DRESSES:
        if (inner := _between(value, dress, dress)) is not None:
            return _plain(inner)
    return value


def _undressed(value: str) -> str | None:
    bare = _EDGES.sub("", value)
    if bare and bare != value:
        return bare
    for opening, closing in (*((dress, dress) for dress in _DRESSES), *_PAIRS):
        if (inner := _between(value, opening, closing)) is not None:
            return inner
    command = _COMMAND.match(value)
    if command and _closing_brace(value, command.end()) == len(value) - 1:
        return value[command.end() : -1].strip() or None
    return None


def _unbracketed(value: str) -> str | None:
    if match := _BRACKETED.fullmatch(value) or _OPTION.fullmatch(value):
        return match[1]
    if value[-1:] in (".", "。") and value[-2:-1] not in (".", "。", ""):
        return value[:-1].rstrip()
    return None


def _between(value: str, opening: str, closing: str) -> str | None:
    """What stands between the two marks, where they are around all of it and nowhere within."""
    if len(value) <= len(opening) + len(closing) or not (value.startswith(opening) and value.endswith(closing)):
        return None
    inner = value[len(opening) : -len(closing)]
    return None if opening in inner or closing in inner else inner.strip() or None


def _closing_brace(value: str, at: int) -> int:
    """Where the brace that was opened before `at` is closed; the end of the text where it is not."""
    depth = 1
    while at < len(value):
        if value[at] == "\\":
            at += 1
        elif value[at] in "{}":
            depth += 1 if value[at] == "{" else -1
            if depth == 0:
                return at
        at += 1
    return at
