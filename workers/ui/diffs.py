"""What changed between two texts, line by line, for a page. Pure, and of bounded cost."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

# Longer texts are shown whole: comparing lines takes time that grows with the square of their number.
MOST_LINES = 2_000
CONTEXT_LINES = 3

Kind = Literal["add", "del", "same", "gap"]


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line that was added, taken away or is the same; a gap stands for lines that are the same."""

    kind: Kind
    text: str


def diff(before: str, after: str) -> tuple[DiffLine, ...] | None:
    """The lines of a unified diff; empty where nothing changed, None where the texts are too long to compare."""
    old, new = before.splitlines(), after.splitlines()
    if len(old) > MOST_LINES or len(new) > MOST_LINES:
        return None
    lines = []
    for line in list(difflib.unified_diff(old, new, n=CONTEXT_LINES, lineterm=""))[2:]:
        if line.startswith("@@"):
            lines.append(DiffLine("gap", line))
        else:
            kind: Kind = "add" if line[:1] == "+" else "del" if line[:1] == "-" else "same"
            lines.append(DiffLine(kind, line[1:]))
    return tuple(lines)
