"""A background task for the length of a test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from workers.background import BackgroundTasks, Run


@contextlib.contextmanager
def running(*runs: Run) -> Iterator[None]:
    """Each runs in a thread until the end of the block; none may die, nor hang when it is told to stop."""
    deaths = list[str]()
    tasks = BackgroundTasks(on_death=deaths.append)
    for number, run in enumerate(runs):
        tasks.start(f"task {number}", run)
    try:
        yield
    finally:
        late = tasks.stop()
    assert (late, deaths) == ((), [])
