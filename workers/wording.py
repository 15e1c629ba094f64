"""Numbers as people read them, in the terminal and on the page alike. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol


def usd(amount: Decimal) -> str:
    """Money; fractions of a cent are shown where there are only such."""
    return f"${amount:.2f}" if amount == 0 or amount >= Decimal("0.01") else f"${amount:.4f}"


class Scored(Protocol):
    """A row with a score; `measured` says that a check of kind score measures the job's answers."""

    @property
    def score(self) -> float | None:
        """In [0, 1], None before anything was checked."""

    @property
    def value(self) -> float | None:
        """What was measured, None where nothing valid was."""

    @property
    def measured(self) -> bool:
        """Whether the job has a score."""


def score_of(row: Scored) -> str:
    """A row's score as `score` writes it, or that its answer is invalid: of a job with a score, 0.00 would read as a
    value, and as the best one where less is better."""
    invalid = row.measured and row.value is None and row.score is not None
    return "invalid" if invalid else score(row.score, row.value)


def score(score: float | None, value: float | None = None) -> str:
    """The value that a check of kind score measured, where there is one; else the score in [0, 1], or a dash."""
    if value is not None:
        return f"{value:.6g}"
    return "-" if score is None else f"{score:.2f}"


_UNITS = ((10**3, "k"), (10**6, "M"), (10**9, "B"), (10**12, "T"))


def count(number: int) -> str:
    """A number of tokens: 950, 81.2k, 2.0M, 1.5B."""
    if number < 1000:
        return str(number)
    size, unit = next(((size, unit) for size, unit in _UNITS if number < 999.95 * size), _UNITS[-1])
    return f"{number / size:.1f}{unit}"


def duration(seconds: float) -> str:
    """A stretch of time: 42s, 3m10s, 2h05m, 3d04h."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}h"
