"""Numbers as people read them, in the terminal and on the page alike. Pure."""

from __future__ import annotations

from decimal import Decimal


def usd(amount: Decimal) -> str:
    """Money; fractions of a cent are shown where there are only such."""
    return f"${amount:.2f}" if amount == 0 or amount >= Decimal("0.01") else f"${amount:.4f}"


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
