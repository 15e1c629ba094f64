"""Changes of a job as the commands show them. Pure; must not know how they are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tasks.store.summaries import EditRow

# What holds from the next iteration on.
LATER = frozenset({"title", "checks"})


def listed(edits: Sequence[EditRow]) -> Iterator[str]:
    """One line for each change: by whom, when, what."""
    for made in edits:
        when = made.at.isoformat(timespec="seconds")
        yield f"by {made.by}, {when}, after iteration {made.iterations}: {difference(made)}{since(made)}"


def document(made: EditRow) -> dict[str, Any]:
    """A change as `show --json` writes it."""
    return {
        "by": made.by,
        "at": made.at,
        "iterations": made.iterations,
        "before": dict(made.before),
        "after": dict(made.after),
        "waits": made.waits,
        "iteration": made.iteration,
    }


def difference(made: EditRow) -> str:
    """What differs, field by field."""
    return ", ".join(
        f"{field} {_shown(made.before[field])} → {_shown(made.after[field])}" for field in sorted(made.after)
    )


def since(made: EditRow) -> str:
    """From which iteration on it holds, where it does not hold at once."""
    if made.waits:
        return "; the title and the checks from the next iteration on" if made.after.keys() & LATER else ""
    return "" if made.iteration is None else f"; from iteration {made.iteration} on"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return json.dumps(value)
