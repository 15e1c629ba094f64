"""Strategies with other numbers than their defaults, by name: `ladder:agree=2,lead=1`. For replays alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tasks.errors import InvalidInput
from tasks.ports import Strategy
from tasks.types import Decision, Iteration, Limits
from workers.strategies import load_strategies


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Implements `Strategy`: decides as `strategy` does, and has its own name."""

    name: str
    strategy: Strategy

    def decide(self, history: Sequence[Iteration], limits: Limits) -> Decision:
        """As the port has it."""
        return self.strategy.decide(history, limits)


def load_variant(text: str) -> Strategy:
    """The installed strategy of that name, or a variant of it. Raises `InvalidInput`."""
    name, _, given = text.partition(":")
    known = load_strategies().working
    if name not in known:
        raise InvalidInput("STRATEGY", text, f"one of {', '.join(sorted(known))}")
    if not given:
        return known[name]
    strategy: Any = known[name]
    numbers = sorted(field.name for field in dataclasses.fields(strategy)) if dataclasses.is_dataclass(strategy) else []
    if not numbers:
        raise InvalidInput("STRATEGY", text, f"{name} alone: it has no numbers to choose")
    chosen = dataclasses.replace(strategy, **_numbers(text, given, numbers))
    return cast("Strategy", Variant(name=text, strategy=chosen))  # whose name is not its class's


def _numbers(text: str, given: str, known: Sequence[str]) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for part in given.split(","):
        field, _, value = part.partition("=")
        if field not in known or not value.isdecimal():
            raise InvalidInput("STRATEGY", text, f"NAME:FIELD=NUMBER,… with one of {', '.join(known)}")
        found[field] = int(value)
    return found
