"""What a corpus is made of: labelled texts, and the two halves they are split into.

Thresholds are tuned on the half `tune` only; what is reported comes from the half `report`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

TUNE, REPORT = "tune", "report"
# Another seed is another split; it is fixed, so that no text ever changes its half.
SPLIT_SEED = 20_260_101


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One text of a corpus. `name` is unique within it and decides the half, unless it was collected for one.

    A loop says where its first copy begins (`onset`, in characters) and how long one copy is (`period`, in
    characters, a mean where copies differ); an ordinary text has neither.
    """

    name: str
    kind: str
    text: str
    onset: int | None = None
    period: int | None = None
    collected_for: str | None = None

    @property
    def half(self) -> str:
        """`tune` or `report`."""
        return self.collected_for or (TUNE if seeded(SPLIT_SEED, self.name) % 2 else REPORT)


def seeded(seed: int, name: str) -> int:
    """A number in [0, 2^64) that is a function of both."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8], "big")
