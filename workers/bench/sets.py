"""The sets of tasks, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tasks.errors import InvalidInput
from workers.bench.carwash import carwash
from workers.bench.folder import folder
from workers.bench.humaneval import humaneval
from workers.bench.reasoning import reasoning_gym
from workers.bench.tasks import TaskSet

SETS: Mapping[str, Callable[[], TaskSet]] = {
    "humaneval": humaneval,
    "reasoning-gym": reasoning_gym,
    "carwash": carwash,
}


def load_set(name: str) -> TaskSet:
    """The set of that name, or of the folder of job files at that path. Raises `InvalidInput`."""
    if name in SETS:
        return SETS[name]()
    if Path(name).is_dir():
        return folder(Path(name))
    raise InvalidInput("SET", name, f"one of {', '.join(SETS)}, or a folder of job files")
