"""What `redraft doctor` finds: one value for each check. Knows no check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check; `advice` says what to do where it isn't ok."""

    name: str
    outcome: Outcome
    detail: str
    advice: str = ""
