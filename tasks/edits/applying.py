"""Applies edits to one text. Pure; must not know where an edit was written.

An edit is placed by its lines alone and must fit at exactly one place. Three ways of comparing are tried in turn: the
lines as they are, without the white space at their ends, and indented as a whole by more or less. A line that is kept
stays as the file has it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tasks.edits.blocks import Edit, EditError

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
# Where one edit is looked for: at more than one it is refused.
MOST_PLACES = 100
_QUOTED_CHARS = 80


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an edit fits: the number of its first line, and the indentation that its own lines have too many or lack
    there."""

    at: int
    surplus: str = ""
    lack: str = ""


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """`text` with each edit applied to what the one before it left; one that is written twice counts once. The line
    ends of the text are kept, and new lines get the same.

    Raises `EditError` for an edit that fits nowhere or at several places, finds nothing, or changes nothing.
    """
    lines, end = _split(text)
    for edit in dict.fromkeys(edits):
        lines = _changed(lines, [(edit, _place(lines, edit))], end)
    return _join(lines, end, text)


def apply_hunks(text: str, hunks: Sequence[Edit]) -> str:
    """`text` with the hunks of one file in a diff: each is placed in `text` as it is, in any order. Raises `EditError`
    as `apply_edits` does, and where two of them change the same line."""
    lines, end = _split(text)
    placed = [(hunk, _place(lines, hunk)) for hunk in dict.fromkeys(hunks)]
    return _join(_changed(lines, placed, end), end, text)


def _split(text: str) -> tuple[list[str], str]:
    """The lines with their ends, and the end that most of them have."""
    lines = _LINE.findall(text)
    windows = sum(line.endswith("\r\n") for line in lines)
    return lines, "\r\n" if windows * 2 > len(lines) else "\n"


def _join(lines: list[str], end: str, before: str) -> str:
    """The text of `lines`, each but the last with an end; the last ends as that of the text `before` did, or with an
    end if that was empty."""
    if not lines:
        return ""
    ended = [line if line.endswith("\n") else line + end for line in lines]
    if before and not before.endswith("\n"):
        ended[-1] = ended[-1].removesuffix("\n").removesuffix("\r")
    return "".join(ended)


def _place(ended: list[str], edit: Edit) -> _Place:
    """The one place where an edit fits."""
    lines, old = [line.rstrip("\r\n") for line in ended], edit.old
    if old == edit.new:
        raise EditError(f"An edit changes nothing: {_quoted(old)}.")
    if not any(line.strip() for line in old):
        if any(line.strip() for line in lines):
            raise EditError(f"An edit names no lines of the file to find, before it adds {_quoted(edit.new)}.")
        return _Place(0)
    for places in (_exactly(lines, old, str), _exactly(lines, old, str.rstrip), _indented(lines, old)):
        if len(places) > 1:
            numbers = ", ".join(str(place.at + 1) for place in places[:5])
            raise EditError(f"An edit fits at {len(places)} places (lines {numbers}): {_quoted(old)}. Name more lines.")
        if places:
            return places[0]
    raise EditError(f"An edit fits nowhere: the file does not have {_quoted(old)}.")


def _exactly(lines: list[str], old: Sequence[str], form: Callable[[str], str]) -> list[_Place]:
    return [_Place(at) for at in _found([form(line) for line in lines], [form(line) for line in old])]


def _indented(lines: list[str], old: Sequence[str]) -> list[_Place]:
    """Where every line of `old` that is not empty is indented by the same text more, or less, than the file's."""
    lead = next(number for number, line in enumerate(old) if line.strip())
    places = []
    for at in _found([line.strip() for line in lines], [line.strip() for line in old]):
        ours, theirs = _indent(lines[at + lead]), _indent(old[lead])
        surplus = theirs.removesuffix(ours) if theirs.endswith(ours) else ""
        lack = ours.removesuffix(theirs) if ours.endswith(theirs) else ""
        place = _Place(at, surplus, lack)
        if all(_moved(line, place).rstrip() == lines[at + n].rstrip() for n, line in enumerate(old) if line.strip()):
            places.append(place)
    return places


def _found(lines: list[str], wanted: list[str]) -> Iterator[int]:
    """The numbers of the lines, counted from 0, at which `wanted` stands; `MOST_PLACES` at most. A search of text takes
    linear time however often lines recur: a model writes both."""
    text, part = "".join(f"\n{line}" for line in lines) + "\n", "\n" + "\n".join(wanted) + "\n"
    at, number = -1, 0
    for _ in range(MOST_PLACES):
        before, at = at, text.find(part, at + 1)
        if at < 0:
            return
        number += text.count("\n", max(before, 0), at)
        yield number


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _moved(line: str, place: _Place) -> str:
    """An edit's line with the indentation that it has at its place."""
    if not line.strip():
        return line
    return place.lack + line.removeprefix(place.surplus)


def _changed(lines: list[str], edits: Sequence[tuple[Edit, _Place]], end: str) -> list[str]:
    """The lines with all edits at their places; the lines that are added have `end`."""
    removed: set[int] = set()
    added: dict[int, list[str]] = {}
    for edit, place in edits:
        at, new = place.at, list[str]()
        for mark, text in (*edit.lines, (" ", "")):
            if mark == "+":
                new.append(_moved(text, place) + end)
                continue
            if new and at in added:
                raise EditError(f"Two hunks add lines at the same place, line {at + 1}.")
            if new:
                added[at], new = new, []
            if mark == "-" and at in removed:
                raise EditError(f"Two hunks change line {at + 1}.")
            if mark == "-":
                removed.add(at)
            at += 1
    changed: list[str] = []
    for number in range(max(len(lines), *added, 0) + 1):
        changed += added.get(number, [])
        if number < len(lines) and number not in removed:
            changed.append(lines[number])
    return changed


def _quoted(lines: Sequence[str]) -> str:
    """The first line with words, for a message."""
    line = next((line.strip() for line in lines if line.strip()), "an empty line")
    shown = line if len(line) <= _QUOTED_CHARS else line[: _QUOTED_CHARS - 1] + "…"
    more = sum(1 for line in lines if line.strip()) - 1
    return f"`{shown}`" + (f" and the {more} lines after it" if more > 1 else " and the line after it" if more else "")
