"""How a worker presents itself in the table `workers`: written every few seconds while it lives, and when its engine
does not come up. Knows nothing of leases."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog

from tasks.store.address import parameters
from tasks.store.faults import first_line
from tasks.store.workerrows import WORKER_SILENCE_SECONDS

log = structlog.get_logger()

REGISTRATION_SECONDS = 3.0
# Why the engine of a worker does not answer that has just begun.
STARTING = "it is starting"
# Whoever died without signing off is of no use to anybody after this long.
FORGOTTEN_SECONDS = 86_400.0

_REGISTER = """
INSERT INTO workers (name, host, pid, lanes, slots, model, version, modalities, context_tokens, answer_tokens, models,
                     closed_lanes, engine_fault, engine_fault_at, engine_restarted_at)
VALUES (%(name)s, %(host)s, %(pid)s, %(lanes)s, %(slots)s, %(model)s, %(version)s, %(modalities)s, %(context_tokens)s,
        %(answer_tokens)s, %(models)s, %(closed_lanes)s, %(engine_fault)s,
        now() - make_interval(secs => %(fault_seconds)s), now() - make_interval(secs => %(restarted_seconds)s))
ON CONFLICT (name) DO UPDATE SET lanes = EXCLUDED.lanes, slots = EXCLUDED.slots, pid = EXCLUDED.pid,
    model = EXCLUDED.model, version = EXCLUDED.version, modalities = EXCLUDED.modalities,
    context_tokens = EXCLUDED.context_tokens, answer_tokens = EXCLUDED.answer_tokens, models = EXCLUDED.models,
    closed_lanes = EXCLUDED.closed_lanes, engine_fault = EXCLUDED.engine_fault,
    engine_fault_at = EXCLUDED.engine_fault_at, engine_restarted_at = EXCLUDED.engine_restarted_at, seen_at = now()
"""

# A worker that could not start left its row, so that its reason is seen; the next one of its machine takes its place.
_FORGET = """
DELETE FROM workers WHERE name <> %(name)s AND (
    seen_at < now() - make_interval(secs => %(forgotten)s)
    OR (host = %(host)s AND lanes = '{}' AND seen_at < now() - make_interval(secs => %(silence)s)))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRegistration:
    """How a worker presents itself in the `workers` table: `context_tokens` are its model's, of which an answer takes
    `answer_tokens` at most; 0 without a model. `engine_fault` is one line that says why its engine does not answer,
    since `fault_seconds`; it was started again `restarted_seconds` ago. `closed_lanes` are those that it can't serve
    meanwhile."""

    name: str
    host: str
    pid: int
    lanes: tuple[str, ...]
    slots: int
    model: str
    version: str
    modalities: tuple[str, ...] = ("text",)
    context_tokens: int = 0
    answer_tokens: int = 0
    models: tuple[str, ...] = ()
    closed_lanes: tuple[str, ...] = ()
    engine_fault: str = ""
    fault_seconds: float | None = None
    restarted_seconds: float | None = None


def register(connection: psycopg.Connection[Any], row: WorkerRegistration) -> None:
    """Writes a worker's row, as of now."""
    values = {name: getattr(row, name) for name in row.__slots__}
    lists = ("lanes", "modalities", "models", "closed_lanes")
    connection.execute(_REGISTER, {**values, **{name: list(values[name]) for name in lists}})


def forget_others(connection: psycopg.Connection[Any], row: WorkerRegistration) -> None:
    """Takes away the rows of workers that died long ago, and of those of this machine that could not start."""
    values = {"forgotten": FORGOTTEN_SECONDS, "silence": WORKER_SILENCE_SECONDS, "name": row.name, "host": row.host}
    connection.execute(_FORGET, values)


def deregister(connection: psycopg.Connection[Any], name: str) -> None:
    """Takes a worker's row away."""
    connection.execute("DELETE FROM workers WHERE name = %s", (name,))


@contextlib.contextmanager
def announcing(url: str, registration: Callable[[], WorkerRegistration]) -> Iterator[None]:
    """Presents a worker that is still starting, until the end of the block; its row stays, for it says why where the
    worker does not come up. A database that is away is no reason not to start."""
    stop = threading.Event()
    thread = threading.Thread(target=_announce, args=(url, registration, stop), name="announcement", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _announce(url: str, registration: Callable[[], WorkerRegistration], stop: threading.Event) -> None:
    """Registers every few seconds until `stop`, and once more then."""
    stopping, pause = False, 0.0
    while not stopping:
        stopping, pause = stop.wait(pause), REGISTRATION_SECONDS
        try:
            with psycopg.connect(**parameters(url, "redraft worker"), autocommit=True) as connection:
                forget_others(connection, registration())
                register(connection, registration())
        except psycopg.Error as error:
            log.warning("the worker could not present itself", error=first_line(error))
