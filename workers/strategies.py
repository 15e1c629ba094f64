"""Which strategies are installed. Cheap to import, for the command line needs it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

from tasks.ports import Strategy

GROUP = "redraft.strategies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategies:
    """The strategies that can be used, by name, and why each of the others is `broken`."""

    working: Mapping[str, Strategy]
    broken: Mapping[str, str] = field(default_factory=dict)


def load_strategies() -> Strategies:
    """Every strategy of the entry points `redraft.strategies`. One that can't be loaded keeps no other from being
    used."""
    working: dict[str, Strategy] = {}
    broken: dict[str, str] = {}
    for entry in entry_points(group=GROUP):
        try:
            working[entry.name] = _load(entry)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may raise anything while it is imported
            broken[entry.name] = f"{type(error).__name__}: {error} ({entry.value})"
    return Strategies(working=working, broken=broken)


def _load(entry: EntryPoint) -> Strategy:
    strategy = entry.load()()
    if not isinstance(strategy, Strategy) or not callable(strategy.decide):
        raise TypeError("it is no strategy: `name` and `decide` are needed")
    return strategy
