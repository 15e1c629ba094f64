"""Finds what `redraft` needs of `ops/`: inside the installed package, or in the checkout."""

from __future__ import annotations

from pathlib import Path


def ops(name: str) -> Path:
    """The folder or file `ops/NAME`."""
    packed = Path(__file__).parent / "ops" / name
    return packed if packed.exists() else Path(__file__).parents[1] / "ops" / name
