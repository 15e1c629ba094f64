"""The fenced blocks of a text in Markdown, as models write them. Must not know what a block is for.

Only line feeds and carriage returns end a line: a form feed or U+2028 within a line is text.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_LINE_END = re.compile(r"\r\n|\n|\r")
_FENCE = re.compile(r"^(?P<quote>(?:[ \t]*>)*)[ \t]*(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)$")
_ITEM_FENCE = re.compile(r"^[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]+(?P<mark>`{3,}|~{3,})(?P<info>[^`]*)$")
_PROSE_FENCE = re.compile(r"^[^`]+(?P<mark>`{3,})(?P<info>[A-Za-z][\w+#-]*)[ \t]*$")
_QUOTE = re.compile(r"^[ \t]*>[ \t]?")
_WORD = re.compile(r"[^\s{}:=,]+")
# A fence after prose counts only with one of these: any other word after three backticks is mostly inline code.
_LANGUAGES = (
    "bash c c++ console cpp csharp css go haskell html java javascript js json julia kotlin latex markdown md none"
    " output php plaintext py python python3 r ruby rust sh shell sql text ts typescript xml yaml"
)
LANGUAGES = frozenset(_LANGUAGES.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """`info` is the first word after the opening fence in lower case, `label` all the text there. `first` is the number
    of the line of the opening fence, `after` that of the line after the block; `content` is dedented."""

    info: str
    label: str
    content: str
    first: int
    after: int
    closed: bool


@dataclass(frozen=True, slots=True)
class _Fence:
    line: int
    mark: str
    info: str
    quoted: bool
    opens_only: bool

    def closes(self, opening: _Fence) -> bool:
        same_mark = self.mark[0] == opening.mark[0] and len(self.mark) >= len(opening.mark)
        return same_mark and not self.opens_only and not self.info.strip()


def lines_of(text: str) -> list[str]:
    """The lines of `text` without their ends."""
    lines = _LINE_END.split(text)
    return lines if lines[-1] else lines[:-1]


def blocks_of(
    text: str, is_complete: Callable[[Block], bool] = lambda block: True, *, exact: bool = False
) -> list[Block]:
    """The fenced blocks that are not empty, in order. A block that is never closed (a text cut off at its token limit)
    runs to the end. With `exact`, for files, empty ones count too, and lines lose no more than their fence's indent.

    `is_complete` rejects a block whose closing fence may be part of a string in the program; later closing fences are
    then tried. If it accepts none of them, the first one counts.
    """
    lines = lines_of(text)
    fences = [fence for number, line in enumerate(lines) if (fence := _fence(number, line))]
    return [block for block in _parse(lines, fences, is_complete, exact) if block.content or exact]


def last_fenced_block(text: str) -> str | None:
    """The content of the last fenced block that is not empty, dedented; None where there is none."""
    blocks = blocks_of(text)
    return blocks[-1].content if blocks else None


def _parse(
    lines: list[str], fences: list[_Fence], is_complete: Callable[[Block], bool], exact: bool
) -> Iterator[Block]:
    index = 0
    while index < len(fences):
        block = _block(lines, fences, index, is_complete, exact)
        yield block
        while index < len(fences) and fences[index].line < block.after:
            index += 1


def _block(
    lines: list[str], fences: list[_Fence], index: int, is_complete: Callable[[Block], bool], exact: bool
) -> Block:
    opening, first = fences[index], None
    for later in range(index + 1, len(fences)):
        if fences[later].closes(opening):
            block = _make_block(lines, opening, fences[later].line, closed=True, exact=exact)
            if is_complete(block):
                return block
            first = first or block
    rest = _make_block(lines, opening, len(lines), closed=False, exact=exact)
    return rest if first is None or is_complete(rest) else first


def _make_block(lines: list[str], opening: _Fence, end: int, *, closed: bool, exact: bool) -> Block:
    inside = lines[opening.line + 1 : end]
    if opening.quoted:
        inside = [_QUOTE.sub("", line) for line in inside]
    content = "\n".join(_outdented(inside, lines[opening.line]) if exact else inside)
    if not exact and content.lstrip("\n")[:1] in (" ", "\t"):
        content = textwrap.dedent(content)
    label = opening.info.strip()
    word = _WORD.search(label.lower().replace(".python", "python"))
    return Block(
        info=word[0] if word else "",
        label=label,
        content=content + "\n" if content.strip() or (exact and inside) else "",
        first=opening.line,
        after=end + 1 if closed else end,
        closed=closed,
    )


def _outdented(lines: list[str], fence: str) -> Iterator[str]:
    """The lines of a block without the white space that their fence has before it."""
    indent = len(fence) - len(fence.lstrip(" \t"))
    for line in lines:
        yield line[min(indent, len(line) - len(line.lstrip(" \t"))) :]


def _fence(number: int, line: str) -> _Fence | None:
    if "```" not in line and "~~~" not in line:
        return None
    if match := _FENCE.match(line):
        return _Fence(number, match["mark"], match["info"], bool(match["quote"]), opens_only=False)
    if match := _ITEM_FENCE.match(line):
        return _Fence(number, match["mark"], match["info"], quoted=False, opens_only=True)
    match = _PROSE_FENCE.match(line)
    if match and match["info"].lower() in LANGUAGES:
        return _Fence(number, match["mark"], match["info"], quoted=False, opens_only=True)
    return None
