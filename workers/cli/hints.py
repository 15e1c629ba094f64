"""Hints as the commands show them. Pure; must not know how they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tasks.types import Hint


def listed(hints: Sequence[Hint]) -> Iterator[str]:
    """One line for each hint: who gave it, who saw it first, how it begins."""
    for given in hints:
        seen = "not seen yet" if given.iteration is None else f"first seen by iteration {given.iteration}"
        yield f"{given.by} ({given.source}), {given.at.isoformat(timespec='seconds')}, {seen}: {_beginning(given.text)}"


def document(given: Hint) -> dict[str, Any]:
    """A hint as `show --json` and `history --json` write it."""
    return {
        "hint": given.id,
        "source": str(given.source),
        "by": given.by,
        "at": given.at,
        "iteration": given.iteration,
        "question": given.question or None,
        "text": given.text,
    }


def _beginning(text: str, chars: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= chars else f"{line[: chars - 1]}…"
