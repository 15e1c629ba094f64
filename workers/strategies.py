"""Which strategies are installed. Cheap to import, for the command line asks too."""

from __future__ import annotations

from importlib.metadata import entry_points

from tasks.errors import InvalidInput
from tasks.ports import Strategy


def strategies() -> dict[str, Strategy]:
    """Every strategy by name, from the entry points `redraft.strategies`."""
    found: dict[str, Strategy] = {}
    for point in entry_points(group="redraft.strategies"):
        try:
            found[point.name] = point.load()()
        except ImportError as error:
            raise InvalidInput("strategy plug-in", point.value, f"it must import: {error}") from error
    return found
