"""Whether two answers repeat themselves at the same place: then it is probably what the problem asks for. Pure; must
not know how attempts are made."""

from __future__ import annotations

import re

from tasks.types import GuardHit, GuardKind

# Two openings of an answer differ in length by so much.
NEAR_CHARS = 400
NEAR_SHARE = 0.25
# Of the words of two units, which may be put differently.
COMMON_SHARE = 0.5
EXACT = frozenset({GuardKind.CYCLE, GuardKind.ENGINE})
_WORD = re.compile(r"[^\W\d_]+|[^\w\s]")


def same_place(one: GuardHit, other: GuardHit) -> bool:
    """Whether they repeat the same unit, but for its numbers and some words, or in the same way near the same position:
    exactly, or with changes, whichever net saw it first."""
    alike = (one.kind in EXACT) == (other.kind in EXACT)
    return (alike and _near(one.at_char, other.at_char)) or _same_unit(one.unit, other.unit)


def _near(one: int, other: int) -> bool:
    return abs(one - other) <= max(NEAR_CHARS, NEAR_SHARE * max(one, other))


def _same_unit(one: str, other: str) -> bool:
    words, others = (set(_WORD.findall(unit.lower())) for unit in (one, other))
    return bool(words) and len(words & others) >= COMMON_SHARE * min(len(words), len(others))
