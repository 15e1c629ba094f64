"""The background tasks of one process: named threads, each a function that runs until it is told to stop. One that ends
on its own account has died: its traceback is logged, and whoever runs the process hears of it.

Knows neither what a task does nor what is done about its death. The model is procrastinate's monitor of side tasks.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import structlog

log = structlog.get_logger()

# What a task may take to end, unless it says that it needs longer.
STOP_SECONDS = 5.0

Run = Callable[[threading.Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    name: str
    thread: threading.Thread
    stop: threading.Event
    stop_seconds: float


class BackgroundTasks:
    """Parameters: `on_death` gets one line for people, such as "background task events died: OSError: …". It is called
    once, for the first death, in the thread that died; it may end the process."""

    def __init__(self, on_death: Callable[[str], None]) -> None:
        self._on_death = on_death
        self._tasks: list[_Task] = []
        self._first_death = threading.Lock()  # never released

    def start(self, name: str, run: Run, *, stop_seconds: float = STOP_SECONDS) -> None:
        """Runs `run(stop)` in a thread. It must return within `stop_seconds` of the moment when `stop` is set, and not
        before: to return or to raise earlier is to die."""
        stop = threading.Event()
        # A daemon: one that hangs must not keep the process from ending.
        thread = threading.Thread(target=self._supervise, args=(name, run, stop), name=name, daemon=True)
        self._tasks.append(_Task(name=name, thread=thread, stop=stop, stop_seconds=stop_seconds))
        thread.start()

    def stop(self) -> tuple[str, ...]:
        """Ends the tasks, the one that was started last first, and waits for each as long as it may take.

        Returns, and logs, the names of those that have not ended by then. They end with the process.
        """
        late = tuple(task.name for task in reversed(self._tasks) if not _ended(task))
        if late:
            log.warning("background tasks did not end in time", tasks=late)
        return late

    def __enter__(self) -> BackgroundTasks:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _supervise(self, name: str, run: Run, stop: threading.Event) -> None:
        try:
            run(stop)
        except BaseException as error:
            log.exception("a background task died", task=name)
            why = f"{type(error).__name__}: {error}"
        else:
            why = "it returned before it was told to stop"
        if stop.is_set():
            return
        log.error("a background task ended before it was told to", task=name, why=why)
        if self._first_death.acquire(blocking=False):
            self._on_death(f"background task {name} died: {why}")


def _ended(task: _Task) -> bool:
    task.stop.set()
    if task.thread is not threading.current_thread():
        task.thread.join(task.stop_seconds)
    return not task.thread.is_alive()
