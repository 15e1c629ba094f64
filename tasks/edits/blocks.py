"""Search/replace blocks and unified diffs as edits. Pure; must not know how an edit is applied.

A search/replace block is what aider and OpenEvolve use: lines to find between `<<<<<<< SEARCH` and `=======`, then what
stands there instead up to `>>>>>>> REPLACE`. A hunk of a unified diff says the same in another way. Its line numbers
and counts are ignored: models write them wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.markdown import lines_of

SEARCH = re.compile(r"<{5,9} ?SEARCH[ \t]*")
DIVIDER = re.compile(r"={5,9}[ \t]*")
REPLACE = re.compile(r">{5,9} ?REPLACE[ \t]*")
_HUNK = re.compile(r"@@(?: .*)?")
_OLD, _NEW = "--- ", "+++ "
# What git writes between the hunks of two files.
_HEADER = re.compile(
    r"(?:diff --git |index [0-9a-f]+\.\.|(?:new|deleted) file mode |(?:old|new) mode |similarity index |"
    r"rename (?:from|to) |copy (?:from|to) |Binary files |GIT binary patch)"
)
NOWHERE = "/dev/null"


class EditError(ValueError):
    """An edit can't be read or applied. The message is one sentence for the model that wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Lines of a file and what happens to them, in order: each has a mark, a space where it is kept, - where it is
    taken out, + where it is put in, and its text without its end."""

    lines: tuple[tuple[str, str], ...]

    @property
    def old(self) -> tuple[str, ...]:
        """The lines that the file must have, one after the other."""
        return tuple(text for mark, text in self.lines if mark != "+")

    @property
    def new(self) -> tuple[str, ...]:
        """The lines that it has there afterwards."""
        return tuple(text for mark, text in self.lines if mark != "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileDiff:
    """The hunks of one file in a unified diff. `old` and `new` are the names as written, `/dev/null` where the file is
    made or deleted."""

    old: str
    new: str
    hunks: tuple[Edit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchBlock:
    """A search/replace block at the lines `first` up to `after` of a text."""

    edit: Edit
    first: int
    after: int


def read_edits(text: str) -> tuple[Edit, ...]:
    """The search/replace blocks of a text, inside fences or not, in order. Raises `EditError` for one without its
    divider or its end."""
    return tuple(block.edit for block in search_blocks(lines_of(text)))


def search_blocks(lines: Sequence[str]) -> list[SearchBlock]:
    """The search/replace blocks among `lines`. Raises `EditError`."""
    blocks, number = [], 0
    while number < len(lines):
        if SEARCH.fullmatch(lines[number]):
            blocks.append(_search_block(lines, number))
            number = blocks[-1].after
        else:
            number += 1
    return blocks


def is_diff(lines: Sequence[str]) -> bool:
    """Whether `lines` are a unified diff: they begin with a hunk or with what stands before one."""
    for number, line in enumerate(lines):
        if line.strip():
            return bool(_HUNK.fullmatch(line) or _HEADER.match(line) or _names(lines, number))
    return False


def read_diff(lines: Sequence[str]) -> list[FileDiff]:
    """The files of a unified diff. One whose hunks stand before any file name has the names "". Raises `EditError`."""
    diffs: list[FileDiff] = []
    for old, new, hunks in _sections(lines):
        diffs.append(FileDiff(old=old, new=new, hunks=tuple(_hunk(hunk) for hunk in hunks)))
    return diffs


def _search_block(lines: Sequence[str], first: int) -> SearchBlock:
    def find(pattern: re.Pattern[str], begin: int, missing: str) -> int:
        for number in range(begin, len(lines)):
            if pattern.fullmatch(lines[number]):
                return number
            if SEARCH.fullmatch(lines[number]):
                break
        raise EditError(f"A search/replace block has no line `{missing}`.")

    divider = find(DIVIDER, first + 1, "=======")
    end = find(REPLACE, divider + 1, ">>>>>>> REPLACE")
    removed = [("-", line) for line in lines[first + 1 : divider]]
    added = [("+", line) for line in lines[divider + 1 : end]]
    return SearchBlock(edit=Edit(lines=(*removed, *added)), first=first, after=end + 1)


def _sections(lines: Sequence[str]) -> Iterator[tuple[str, str, list[list[str]]]]:
    """Each file's two names, and the lines of each of its hunks."""
    old, new, hunks, inside, number = "", "", list[list[str]](), False, 0
    while number < len(lines):
        line = lines[number]
        names = _names(lines, number)
        if names is not None:
            if hunks or old:
                yield old, new, hunks
            (old, new), hunks, inside = names, [], False
            number += 2
            continue
        if _HEADER.match(line):
            if line.startswith(("Binary files ", "GIT binary patch")):
                raise EditError("A diff of a binary file can't be applied.")
            inside = False
        elif _HUNK.fullmatch(line):
            hunks.append([])
            inside = True
        elif inside:
            hunks[-1].append(line)
        number += 1
    if hunks or old:
        yield old, new, hunks


def diff_begins(lines: Sequence[str], number: int) -> bool:
    """Whether a unified diff begins at a line, with the names of its first file."""
    return _names(lines, number) is not None


def _names(lines: Sequence[str], number: int) -> tuple[str, str] | None:
    """The names of a file header. A removed line may look like its first line, so a hunk or the end must follow."""
    if number + 1 >= len(lines):
        return None
    old, new = _name(lines[number], _OLD), _name(lines[number + 1], _NEW)
    follows = lines[number + 2] if number + 2 < len(lines) else "@@"
    if not old or not new or not (_HUNK.fullmatch(follows) or not follows.strip()):
        return None
    return old, new


def _name(line: str, mark: str) -> str:
    """The name in a line of a file header, without the date after it; empty where the line is none."""
    return line.removeprefix(mark).partition("\t")[0].strip(' "') if line.startswith(mark) else ""


def _hunk(lines: list[str]) -> Edit:
    edited: list[tuple[str, str]] = []
    for line in lines:
        mark, text = line[:1], line[1:]
        if mark == "\\":  # "\ No newline at end of file"
            continue
        if mark in ("+", "-", " "):
            edited.append((mark, text))
        elif not line or mark == "\t":
            edited.append((" ", line))  # models leave out the space before an empty or an indented line
        else:
            raise EditError(f"A hunk has a line that begins with none of space, - and +: {line[:60]!r}.")
    while edited and edited[-1] == (" ", ""):  # the empty lines between a hunk and what follows it
        edited.pop()
    return Edit(lines=tuple(edited))
