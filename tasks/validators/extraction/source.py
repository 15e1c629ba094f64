"""Extracts a candidate's Python: the block that compiles, defines the names that a test imports, and is no usage
example.

Must not know how the code is checked. It compiles code and never runs it; `syntax.Parser` limits the work.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tasks.markdown import Block, blocks_of, lines_of
from tasks.validators.extraction.syntax import Outline, Parser

_PYTHON = frozenset({"", "python", "py", "python3", "py3", "code"})
_MARKDOWN = frozenset({"markdown", "md"})
_FILE = re.compile(r"(?<![\w/.-])([A-Za-z_]\w*\.py)\b")
_FILE_LINE = re.compile(
    r"^[ \t]*(?:[#>*+-]+[ \t]*|\d{1,2}[.)][ \t]*)*(?:(?:file|filename)[ \t]*:[ \t]*)?[*_`]{0,4}"
    r"([A-Za-z_]\w*\.py)[*_`]{0,4}[ \t]*:?[*_]{0,3}[ \t]*$",
    re.IGNORECASE,
)
_FUTURE = re.compile(r"^from __future__ import .*$", re.MULTILINE)
_CODE_START = re.compile(r"^(?:(?:def|class|import|from|async def)\b|@[A-Za-z_])")
_INLINE = re.compile(r"```(?:python3?|py)?[ \t]*([^`]*)```")
SOLUTION = "solution.py"
MAX_TRIES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """`source` is the solution; `modules` are the other files that the text contains, such as `mathx.py`, by name."""

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
    """A candidate's code if the names that it should define are unknown."""
    return find_code(text).source


def find_code(text: str, required: Sequence[str] = ()) -> Code:
    """The code in `text` that defines the `required` names; the best match where none defines all of them, and the
    whole text where nothing looks like code."""
    parser = Parser()
    blocks = list(_blocks(text, parser))
    python = [block for block in blocks if block.info in _PYTHON or block.info.endswith(".py")]
    file_names = [_file_name(text, block) for block in python]
    units = _units([block.content for block in python], parser, file_names) or _units(_inline_sources(text), parser)
    if units:
        source = _select(units, frozenset(required), parser)
        modules = {
            name: block.content for name, block in zip(file_names, python, strict=True) if name and name != SOLUTION
        }
        return Code(source=source, modules=modules if _imports(source, modules, parser) else {})
    unfenced = None if python else _unfenced(text, parser)
    return Code(source=unfenced or ([block.content for block in python or blocks] or [text])[-1])


def _imports(source: str, modules: Mapping[str, str], parser: Parser) -> bool:
    outline = parser.outline(source)
    return outline is not None and any(f"{name}.py" in modules for name in outline.modules)


def _blocks(text: str, parser: Parser) -> Iterator[Block]:
    """The fenced blocks, including those inside a block of Markdown."""

    def is_complete(block: Block) -> bool:
        ends_in_string = any(block.content.count(quotes) % 2 for quotes in ('"""', "'''"))
        if block.info not in _PYTHON or not ends_in_string or parser.exhausted:
            return True
        # Only inside a string can a line merely look like a closing fence; other errors are the candidate's own.
        return parser.outline(block.content) is not None or "triple-quoted" not in parser.fault

    for block in blocks_of(text, is_complete):
        if block.info in _MARKDOWN:
            yield from blocks_of(block.content, is_complete)
        else:
            yield block


def _file_name(text: str, block: Block) -> str | None:
    """The file name of a block, if the text gives one: after its fence, on the line before, or in its first comment."""
    if match := _FILE.search(block.label):
        return match[1]
    before = [line for line in lines_of(text)[max(0, block.first - 2) : block.first] if line.strip()]
    first = block.content.partition("\n")[0]
    match = (_FILE_LINE.match(before[-1]) if before else None) or (
        _FILE_LINE.match(first) if first[:1] == "#" else None
    )
    return match[1] if match else None


def _units(sources: Sequence[str], parser: Parser, names: Sequence[str | None] = ()) -> list[_Unit]:
    units = []
    # From the end: if the parser reaches its limit, the last sources have been parsed.
    for order, source in reversed(list(enumerate(sources))):
        outline = parser.outline(source)
        if outline is not None:
            units.append(_Unit(order, source, outline, bool(names) and names[order] == SOLUTION))
    return units[::-1]


def _select(units: list[_Unit], required: frozenset[str], parser: Parser) -> str:
    if not required:
        return _complete(_last_definition(units), units, required, parser)
    best = max(units, key=lambda unit: _rank(unit, required))
    if required <= best.outline.bound and not (best.outline.uses_solution and len(units) > 1):
        return _complete(best, units, required, parser)
    definers = [_definer(name, units) for name in sorted(required)]
    selected = {unit.order: unit for unit in definers if unit is not None}
    joined = _join(list(selected.values()))
    outline = parser.outline(joined) if len(selected) > 1 else None
    if outline is not None:
        return _complete(
            _Unit(max(selected), joined, outline), [u for u in units if u.order not in selected], required, parser
        )
    return _complete(best if required & best.outline.bound else _last_definition(units), units, required, parser)


def _rank(unit: _Unit, required: frozenset[str]) -> tuple[bool, int, int, int]:
    outline = unit.outline
    is_named_solution = unit.is_solution and required <= outline.bound
    return is_named_solution, len(required & outline.defined), len(required & outline.bound), unit.order


def _definer(name: str, units: list[_Unit]) -> _Unit | None:
    makers = [unit for unit in units if name in unit.outline.defined]
    return makers[-1] if makers else None


def _last_definition(units: list[_Unit]) -> _Unit:
    """The last unit that defines a function or class other than a test and does not use the solution; else the last
    unit."""

    def defines(unit: _Unit) -> bool:
        return any(not name.lower().startswith("test") for name in unit.outline.functions)

    candidates = [unit for unit in units if unit.is_solution]
    candidates = candidates or [unit for unit in units if defines(unit) and not unit.outline.uses_solution]
    return (candidates or [unit for unit in units if not unit.outline.uses_solution] or units)[-1]


def _complete(unit: _Unit, units: list[_Unit], required: frozenset[str], parser: Parser) -> str:
    """A unit joined with the others that define the names which it reads and does not bind, in their order."""
    parts, lacking = [unit], set(unit.outline.lacking)
    protected = unit.outline.defined & required if required else unit.outline.defined
    for _ in range(MAX_TRIES):
        others = [other for other in units if other not in parts and _provides(other, unit, lacking, protected)]
        if not others:
            break
        nearest = max(others, key=lambda other: (other.order < unit.order, other.order))
        parts.append(nearest)
        lacking = (lacking | nearest.outline.lacking) - {name for part in parts for name in part.outline.bound}
    joined = _join(parts)
    return joined if len(parts) > 1 and parser.outline(joined) is not None else unit.source


def _provides(other: _Unit, unit: _Unit, lacking: set[str], protected: frozenset[str]) -> bool:
    """Whether a unit defines a lacking name and redefines no protected one."""
    replaces = other.order > unit.order and bool(protected & other.outline.bound)
    return bool(lacking & other.outline.bound) and not replaces and not other.outline.uses_solution


def _join(parts: list[_Unit]) -> str:
    source = "\n\n".join(unit.source for unit in sorted(parts, key=lambda unit: unit.order))
    future = dict.fromkeys(match.strip() for match in _FUTURE.findall(source))
    return "".join(f"{line}\n" for line in future) + _FUTURE.sub("", source) if len(parts) > 1 else source


def _inline_sources(text: str) -> list[str]:
    """Code between `<code>` tags, or between three backticks without a fence."""
    sources, at = [], 0
    while (begin := text.find("<code", at)) >= 0 and (end := text.find("</code>", begin)) >= 0:
        inside = text[begin:end].partition(">")[2].strip("\r\n")
        sources.append(html.unescape(inside) + "\n")
        at = end
    return [*sources, *(match.strip() + "\n" for match in _INLINE.findall(text))]


def _unfenced(text: str, parser: Parser) -> str | None:
    """The longest run of lines that compiles and starts with a definition or an import."""
    if parser.outline(text) is not None:
        return text
    lines = lines_of(text)
    begins = [number for number, line in enumerate(lines) if _CODE_START.match(line)]
    for begin in begins[:MAX_TRIES]:
        end = len(lines)
        for _ in range(MAX_TRIES):
            source = "\n".join(lines[begin:end]).rstrip() + "\n"
            outline = parser.outline(source)
            if outline is not None and outline.functions:
                return source
            end = _cut_back(lines, begin, end)
            if end <= begin:
                break
    return None


def _cut_back(lines: list[str], begin: int, end: int) -> int:
    """The end without the last paragraph at the left margin, which may be prose after the code."""
    end -= 1
    while end > begin and not (lines[end].strip() and lines[end][:1] not in (" ", "\t") and not lines[end - 1].strip()):
        end -= 1
    return end
