"""What a process knows of its background tasks: when each last did what it is for, and how often it could not. Kept in
memory by the tasks' own threads, read by whoever reports it. Knows no task."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class TaskRecord(Protocol):
    """What one background task says of itself, after each time that it tried what it is for."""

    def succeeded(self) -> None:
        """It did it, or found nothing to do."""

    def failed(self) -> None:
        """It could not, and tries again."""


class NoRecord:
    """Implements `TaskRecord` for a task of which nobody wants to know."""

    def succeeded(self) -> None:
        """As the port has it."""

    def failed(self) -> None:
        """As the port has it."""


NO_RECORD = NoRecord()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """`quiet_seconds` since the task succeeded, or since the process began; `failures` since then."""

    task: str
    quiet_seconds: float
    failures: int


class _Record:
    """Implements `TaskRecord`. One thread writes it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.succeeded_at, self.failures = clock(), 0

    def succeeded(self) -> None:
        """As the port has it."""
        self.succeeded_at = self._clock()

    def failed(self) -> None:
        """As the port has it."""
        self.failures += 1


class TaskRecords:
    """The records of one process, by the task's name."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: dict[str, _Record] = {}

    def of(self, task: str) -> TaskRecord:
        """The record of the task of that name; it begins as one that has succeeded."""
        return self._records.setdefault(task, _Record(self._clock))

    def read(self) -> tuple[TaskState, ...]:
        """Every task, as of now."""
        now = self._clock()
        return tuple(
            TaskState(task=task, quiet_seconds=max(0.0, now - record.succeeded_at), failures=record.failures)
            for task, record in tuple(self._records.items())
        )
