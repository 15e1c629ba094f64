"""What a process says of itself for metrics: how its background tasks do, and how busy its engine is. Over a connection
of its own, so that nothing waits for it; nothing rests on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog
from sqlalchemy import Connection, text

from tasks.errors import DatabaseUnavailable
from tasks.store import metric_totals
from tasks.store.session import WORKER_LOCK_SECONDS, Database
from tasks.taskrecords import TaskRecords, TaskState

log = structlog.get_logger()

REPORT_SECONDS = 5.0
# Rows of a process that was killed are of use to nobody after this long.
FORGOTTEN_SECONDS = 86_400
OWN_TASK = "report"

_SAY = text("""
INSERT INTO background_tasks AS b (process, part, task, succeeded_at, seen_at)
VALUES (:process, :part, :task, clock_timestamp() - make_interval(secs => :quiet), clock_timestamp())
ON CONFLICT (process, task) DO UPDATE SET succeeded_at = EXCLUDED.succeeded_at, seen_at = EXCLUDED.seen_at
""")
_FORGET = text(
    f"DELETE FROM background_tasks WHERE seen_at < now() - make_interval(secs => {FORGOTTEN_SECONDS})"  # noqa: S608
)
_LEAVE = text("DELETE FROM background_tasks WHERE process = :process")
_ENGINE = text("""
UPDATE workers SET engine_running = :running, engine_waiting = :waiting, engine_kv_usage = :kv_usage,
                   engine_slots = :slots
WHERE name = :process
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineNumbers:
    """Requests `running` and `waiting` at an engine now, the share of its KV space in use and its `slots`, each None
    where the engine does not say; `restarts` since this process began."""

    model: str
    running: int | None = None
    waiting: int | None = None
    kv_usage: float | None = None
    slots: int | None = None
    restarts: int = 0


class ProcessReporter:
    """Reports every few seconds in a background task.

    Parameters: `url` of the database (a worker's login), the `process`'s name and `part`, the `records` of its tasks;
    `engine` reads what its engine says, None where it has none, and may take seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        process: str,
        part: Literal["worker", "relay"],
        records: TaskRecords,
        engine: Callable[[], EngineNumbers | None] = lambda: None,
    ) -> None:
        self._url, self._process, self._part = url, process, part
        self._records, self._engine = records, engine
        self._failures: dict[str, int] = {}
        self._restarts = 0

    def run(self, stop: threading.Event) -> None:
        """Until `stop`, then takes the process's rows away."""
        record = self._records.of(OWN_TASK)
        with Database(self._url, name="redraft report", pool=1, lock_seconds=WORKER_LOCK_SECONDS) as database:
            while not stop.is_set():
                try:
                    self.report(database)
                    record.succeeded()
                except DatabaseUnavailable as error:
                    record.failed()
                    log.warning("the report of this process waits for Postgres", why=str(error).split("\n")[0])
                stop.wait(REPORT_SECONDS)
            try:
                with database.begin() as connection:
                    connection.execute(_LEAVE, {"process": self._process})
            except DatabaseUnavailable as error:
                log.warning("the report of this process could not be taken away", why=str(error).split("\n")[0])

    def report(self, database: Database) -> None:
        """Once. What could not be written is counted the next time. Raises `DatabaseUnavailable`."""
        engine, states = self._engine(), self._records.read()
        with database.begin() as connection:
            connection.execute(_FORGET)
            for state in states:
                self._say(connection, state)
            if engine is not None:
                self._say_engine(connection, engine)
        self._failures = {state.task: state.failures for state in states}
        if engine is not None:
            self._restarts = engine.restarts

    def _say(self, connection: Connection, state: TaskState) -> None:
        own = {"process": self._process, "part": self._part, "task": state.task}
        connection.execute(_SAY, {**own, "quiet": state.quiet_seconds})
        more = state.failures - self._failures.get(state.task, 0)
        if more:
            labels = {"part": self._part, "task": state.task}
            metric_totals.add(connection, "redraft_background_task_failures_total", labels, more)

    def _say_engine(self, connection: Connection, engine: EngineNumbers) -> None:
        numbers = {"running": engine.running, "waiting": engine.waiting, "kv_usage": engine.kv_usage}
        connection.execute(_ENGINE, {**numbers, "slots": engine.slots, "process": self._process})
        if engine.restarts > self._restarts:
            more = engine.restarts - self._restarts
            metric_totals.add(connection, "redraft_engine_restarts_total", {"model": engine.model}, more)
