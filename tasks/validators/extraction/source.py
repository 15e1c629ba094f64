"""A candidate's Python: the block that compiles, defines the names that a test imports, and is no example of use.

Must not know what the code is checked with. Compiles, never runs; `syntax.Parser` bounds the work.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tasks.validators.extraction.blocks import Block, blocks_of, lines_of
from tasks.validators.extraction.syntax import Outline, Parser

_PYTHON = frozenset({"", "python", "py", "python3", "py3", "code"})
_MARKDOWN = frozenset({"markdown", "md"})
_FILE = re.compile(r"(?<![\w/.-])([A-Za-z_]\w*\.py)\b")
_NAMING = re.compile(
    r"^[ \t]*(?:[#>*+-]+[ \t]*|\d{1,2}[.)][ \t]*)*(?:(?:file|filename)[ \t]*:[ \t]*)?[*_`]{0,4}"
    r"([A-Za-z_]\w*\.py)[*_`]{0,4}[ \t]*:?[*_]{0,3}[ \t]*$",
    re.IGNORECASE,
)
_FUTURE = re.compile(r"^from __future__ import .*$", re.MULTILINE)
_BEGINS = re.compile(r"^(?:(?:def|class|import|from|async def)\b|@[A-Za-z_])")
_INLINE = re.compile(r"```(?:python3?|py)?[ \t]*([^`]*)```")
SOLUTION = "solution.py"
TRIES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """`source` is the solution; `modules` the other files that the text names, such as `mathx.py`, by name."""

    source: str
    modules: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A source that compiles."""

    order: int
    source: str
    outline: Outline
    is_solution: bool = False  # the text names it solution.py


def code_of(text: str) -> str:
    """A candidate's code where no name is known that it should define."""
    return find_code(text).source


def find_code(text: str, wanted: Sequence[str] = ()) -> Code:
    """The code in `text` that defines `wanted`; whatever comes nearest where none does, all of it where there is no
    sign of code."""
    parser = Parser()
    blocks = list(_blocks(text, parser))
    python = [block for block in blocks if block.info in _PYTHON or block.info.endswith(".py")]
    names = [_file_name(text, block) for block in python]
    units = _units([block.content for block in python], parser, names) or _units(_loose_sources(text), parser)
    if units:
        source = _chosen(units, frozenset(wanted), parser)
        modules = {name: block.content for name, block in zip(names, python, strict=True) if name and name != SOLUTION}
        return Code(source=source, modules=modules if _imports(source, modules, parser) else {})
    unfenced = None if python else _unfenced(text, parser)
    return Code(source=unfenced or ([block.content for block in python or blocks] or [text])[-1])


def _imports(source: str, modules: Mapping[str, str], parser: Parser) -> bool:
    outline = parser.outline(source)
    return outline is not None and any(f"{name}.py" in modules for name in outline.modules)


def _blocks(text: str, parser: Parser) -> Iterator[Block]:
    """The fenced blocks; those inside a block of Markdown too."""

    def whole(block: Block) -> bool:
        ends_in_string = any(block.content.count(quotes) % 2 for quotes in ('"""', "'''"))
        if block.info not in _PYTHON or not ends_in_string or parser.spent:
            return True
        # Only a string can hold a line that looks like a closing fence: other faults are the candidate's own.
        return parser.outline(block.content) is not None or "triple-quoted" not in parser.fault

    for block in blocks_of(text, whole):
        if block.info in _MARKDOWN:
            yield from blocks_of(block.content, whole)
        else:
            yield block


def _file_name(text: str, block: Block) -> str | None:
    """The file that a block is said to be: behind its fence, on the line before, or in its first comment."""
    if match := _FILE.search(block.label):
        return match[1]
    before = [line for line in lines_of(text)[max(0, block.first - 2) : block.first] if line.strip()]
    first = block.content.partition("\n")[0]
    match = (_NAMING.match(before[-1]) if before else None) or (_NAMING.match(first) if first[:1] == "#" else None)
    return match[1] if match else None


def _units(sources: Sequence[str], parser: Parser, names: Sequence[str | None] = ()) -> list[_Unit]:
    units = []
    for order, source in reversed(list(enumerate(sources))):  # where the parser's bound is reached, the last are known
        outline = parser.outline(source)
        if outline is not None:
            units.append(_Unit(order, source, outline, bool(names) and names[order] == SOLUTION))
    return units[::-1]


def _chosen(units: list[_Unit], wanted: frozenset[str], parser: Parser) -> str:
    if not wanted:
        return _completed(_last_of_substance(units), units, wanted, parser)
    best = max(units, key=lambda unit: _worth(unit, wanted))
    if wanted <= best.outline.bound and not (best.outline.uses_solution and len(units) > 1):
        return _completed(best, units, wanted, parser)
    makers = [_maker(name, units) for name in sorted(wanted)]
    chosen = {unit.order: unit for unit in makers if unit is not None}
    joined = _joined(list(chosen.values()))
    outline = parser.outline(joined) if len(chosen) > 1 else None
    if outline is not None:
        return _completed(
            _Unit(max(chosen), joined, outline), [u for u in units if u.order not in chosen], wanted, parser
        )
    return _completed(best if wanted & best.outline.bound else _last_of_substance(units), units, wanted, parser)


def _worth(unit: _Unit, wanted: frozenset[str]) -> tuple[bool, int, int, int]:
    names = unit.outline
    called_so = unit.is_solution and wanted <= names.bound
    return called_so, len(wanted & names.defined), len(wanted & names.bound), unit.order


def _maker(name: str, units: list[_Unit]) -> _Unit | None:
    makers = [unit for unit in units if name in unit.outline.defined]
    return makers[-1] if makers else None


def _last_of_substance(units: list[_Unit]) -> _Unit:
    """The last one that defines a function or class which is no test, and does not use the solution; else the last."""

    def defines(unit: _Unit) -> bool:
        return any(not name.lower().startswith("test") for name in unit.outline.functions)

    makers = [unit for unit in units if unit.is_solution]
    makers = makers or [unit for unit in units if defines(unit) and not unit.outline.uses_solution]
    return (makers or [unit for unit in units if not unit.outline.uses_solution] or units)[-1]


def _completed(unit: _Unit, units: list[_Unit], wanted: frozenset[str], parser: Parser) -> str:
    """A unit with the others that define what it reads and does not bind, in their order."""
    parts, lacking = [unit], set(unit.outline.lacking)
    kept = unit.outline.defined & wanted if wanted else unit.outline.defined
    for _ in range(TRIES):
        others = [other for other in units if other not in parts and _provides(other, unit, lacking, kept)]
        if not others:
            break
        nearest = max(others, key=lambda other: (other.order < unit.order, other.order))
        parts.append(nearest)
        lacking = (lacking | nearest.outline.lacking) - {name for part in parts for name in part.outline.bound}
    joined = _joined(parts)
    return joined if len(parts) > 1 and parser.outline(joined) is not None else unit.source


def _provides(other: _Unit, unit: _Unit, lacking: set[str], kept: frozenset[str]) -> bool:
    """Whether it defines what is lacking, and does not replace what is there."""
    replaces = other.order > unit.order and bool(kept & other.outline.bound)
    return bool(lacking & other.outline.bound) and not replaces and not other.outline.uses_solution


def _joined(parts: list[_Unit]) -> str:
    source = "\n\n".join(unit.source for unit in sorted(parts, key=lambda unit: unit.order))
    future = dict.fromkeys(match.strip() for match in _FUTURE.findall(source))
    return "".join(f"{line}\n" for line in future) + _FUTURE.sub("", source) if len(parts) > 1 else source


def _loose_sources(text: str) -> list[str]:
    """Code between `<code>` tags, or between backticks within one line or two."""
    sources, at = [], 0
    while (begin := text.find("<code", at)) >= 0 and (end := text.find("</code>", begin)) >= 0:
        inside = text[begin:end].partition(">")[2].strip("\r\n")
        sources.append(html.unescape(inside) + "\n")
        at = end
    return [*sources, *(match.strip() + "\n" for match in _INLINE.findall(text))]


def _unfenced(text: str, parser: Parser) -> str | None:
    """The longest run of lines that compiles from a line on that begins as a definition or an import does."""
    if parser.outline(text) is not None:
        return text
    lines = lines_of(text)
    begins = [number for number, line in enumerate(lines) if _BEGINS.match(line)]
    for begin in begins[:TRIES]:
        end = len(lines)
        for _ in range(TRIES):
            source = "\n".join(lines[begin:end]).rstrip() + "\n"
            outline = parser.outline(source)
            if outline is not None and outline.functions:
                return source
            end = _cut_back(lines, begin, end)
            if end <= begin:
                break
    return None


def _cut_back(lines: list[str], begin: int, end: int) -> int:
    """The end without the last paragraph at the left margin: prose behind the code."""
    end -= 1
    while end > begin and not (lines[end].strip() and lines[end][:1] not in (" ", "\t") and not lines[end - 1].strip()):
        end -= 1
    return end
