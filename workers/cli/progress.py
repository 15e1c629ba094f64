"""Progress bars on a terminal, gone when the work is done. Knows no command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

# Fewer than this are done before anybody could read a bar.
WORTH_A_BAR = 200


class Bars:
    """One bar for each step. Parameters: `stream`, drawn on where it is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._visible = stream, stream.isatty()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def update(self, step: str, done: int, total: int) -> None:
        """`step` has done `done` of `total`."""
        if not self._visible or total < WORTH_A_BAR:
            return
        if self._progress is None:
            self._progress = _start(self._stream)
        if step not in self._tasks:
            self._tasks[step] = self._progress.add_task(step, total=total)
        self._progress.update(self._tasks[step], completed=done)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()


def _start(stream: TextIO) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    progress = Progress(*columns, console=Console(file=stream), transient=True)
    progress.start()
    return progress
