"""Which plug-ins are installed here and can't be loaded: for the worker's log and for `redraft doctor`."""

from __future__ import annotations

from tasks.validators import registry
from workers.strategies import Strategies


def broken_plugins(strategies: Strategies) -> dict[str, str]:
    """Why each of them can't be loaded, by kind and name, such as `strategy ladder` or `check palindrome`."""
    return {
        **{f"strategy {name}": why for name, why in strategies.broken.items()},
        **{f"check {kind}": why for kind, why in registry.broken().items()},
    }
