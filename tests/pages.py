"""The repository's Markdown as its tests read it: pages, headings, links, code. Knows nothing of what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "ops" / "docs"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A relative link of a page: the file that it names, and the heading's anchor where it has one."""

    page: Path
    target: Path
    anchor: str


def pages() -> tuple[Path, ...]:
    """Every Markdown file of the repository's own, but for the problems, which are input."""
    folders = (
        ROOT.glob("*.md"),
        DOCS.glob("*.md"),
        *((ROOT / "ops" / name).glob("*.md") for name in ("decisions", "measured")),
    )
    return tuple(sorted(page for folder in folders for page in folder))


def blocks(page: Path, language: str) -> tuple[str, ...]:
    """The fenced blocks of one language, in their order."""
    return tuple(body for name, body in _FENCE.findall(page.read_text(encoding="utf-8")) if name == language)


def prose(page: Path) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def spans(page: Path) -> tuple[str, ...]:
    """What stands in single backticks outside of fenced blocks."""
    return tuple(re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(page)))


def links(page: Path) -> Iterator[Link]:
    """The relative links of a page."""
    for address in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", prose(page))):
        if "://" in address:
            continue
        path, _, anchor = address.partition("#")
        yield Link(page=page, target=(page.parent / path).resolve() if path else page, anchor=anchor)


def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    return frozenset(_anchor(heading) for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE))


def table(page: Path, heading: str) -> tuple[tuple[str, ...], ...]:
    """The rows of the first table below a heading, without its head; each cell without backticks around it."""
    section = re.split(rf"^#+ {re.escape(heading)}$", page.read_text(encoding="utf-8"), maxsplit=1, flags=re.MULTILINE)[
        1
    ]
    rows = re.search(r"(?:^\|.*\|\n)+", section, re.MULTILINE)
    assert rows is not None, f"{page.name}: no table below {heading!r}"
    return tuple(tuple(cell.strip().strip("`") for cell in row[1:-1].split(" | ")) for row in rows[0].splitlines()[2:])


def _anchor(heading: str) -> str:
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
