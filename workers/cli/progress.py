"""Progress on a terminal, gone when the work is done: bars, and one line that renews itself. Knows no command."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Self, TextIO

from tasks.printable import printable

if TYPE_CHECKING:
    from rich.live import Live
    from rich.progress import Progress, TaskID

# Into a log the line is written this often: enough to see that something goes on, few enough to read.
SECONDS_BETWEEN_LINES = 15.0
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


class ProgressLine:
    """One line that renews itself where `stream` is a terminal, below all else that is printed meanwhile; elsewhere a
    plain line now and then. `clock` gives seconds."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._live = _live(stream) if stream.isatty() else None
        self._next_at = clock() + SECONDS_BETWEEN_LINES
        self._written = ""

    def update(self, line: str) -> None:
        """What the line says now."""
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text(printable(line), overflow="ellipsis", no_wrap=True), refresh=True)
        elif line != self._written and self._clock() >= self._next_at:
            self._written, self._next_at = line, self._clock() + SECONDS_BETWEEN_LINES
            print(printable(line), file=self._stream, flush=True)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()


def _live(stream: TextIO) -> Live:
    from rich.console import Console
    from rich.live import Live

    console = Console(file=stream, stderr=stream is sys.stderr)
    return Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)


def _start(stream: TextIO) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    progress = Progress(*columns, console=Console(file=stream), transient=True)
    progress.start()
    return progress
