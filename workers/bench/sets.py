"""The sets of tasks, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tasks.errors import InvalidInput
from workers.bench.humaneval import humaneval
from workers.bench.tasks import TaskSet

SETS: Mapping[str, Callable[[], TaskSet]] = {"humaneval": humaneval}


def load_set(name: str) -> TaskSet:
    """The set of that name. Raises `InvalidInput`."""
    if name not in SETS:
        raise InvalidInput("SET", name, f"one of {', '.join(SETS)}")
    return SETS[name]()
