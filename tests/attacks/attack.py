"""One attack: what is tried, and how it is seen that it was stopped. Must not know any area."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """`attempt` makes the attack on real parts and returns None where it was stopped, else what got through in one
    line. What it raises is a fault of the attack itself and counts as got through."""

    area: str
    name: str
    attempt: Callable[[], str | None]
