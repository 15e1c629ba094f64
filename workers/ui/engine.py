"""What is wrong with the engine of a local stack, as the supervisor last found it. Reads two small files."""

from __future__ import annotations

import json
from pathlib import Path

from workers.failures import read_failure, read_warning
from workers.home import Home

WELL = "ok"


def engine_fault(root: Path) -> str:
    """A line on an engine that does not serve, or on the worker that starts it; empty where both are well or nothing is
    known."""
    home = Home(root=root)
    try:
        parts = json.loads((home.run / "parts.json").read_text())
        health = {part["name"]: part["health"] for part in parts}
    except (OSError, ValueError, TypeError, KeyError):
        return ""
    for part in ("engine", "worker"):
        if health.get(part, WELL) != WELL:
            why = read_failure(home, "worker") or read_warning(home, "engine")
            return f"the {part} is {health[part]}" + (f": {why}" if why else "")
    return ""
