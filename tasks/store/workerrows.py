"""The workers as they presented themselves: the rows, and the query for them. Knows neither SQLAlchemy nor the driver,
so that the quick commands read them, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# A worker says that it lives every few seconds; one not seen for this long is taken for dead.
WORKER_SILENCE_SECONDS = 10.0

WORKERS = """
SELECT *, extract(epoch FROM clock_timestamp() - seen_at)::float AS silent_seconds,
       extract(epoch FROM clock_timestamp() - engine_fault_at)::float AS fault_seconds,
       extract(epoch FROM clock_timestamp() - engine_restarted_at)::float AS restarted_seconds
FROM workers ORDER BY name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """A worker as it presented itself: `models` are the names that its model goes by; `silent_seconds` since its last
    sign of life, and `live` where these are few; `context_tokens` are its model's, 0 without a model.

    `engine_fault` says in one line why its engine does not answer, since `fault_seconds`; it was started again
    `restarted_seconds` ago, None where it was not. It serves no `closed_lanes` until the engine answers.
    """

    name: str
    host: str
    pid: int
    lanes: tuple[str, ...]
    slots: int
    model: str
    modalities: tuple[str, ...]
    models: tuple[str, ...]
    silent_seconds: float
    live: bool
    context_tokens: int = 0
    closed_lanes: tuple[str, ...] = ()
    engine_fault: str = ""
    fault_seconds: float | None = None
    restarted_seconds: float | None = None


def worker_row(row: Any) -> WorkerRow:
    """One row of `WORKERS`."""
    return WorkerRow(
        name=row.name,
        host=row.host,
        pid=row.pid,
        lanes=tuple(row.lanes),
        slots=row.slots,
        model=row.model,
        modalities=tuple(row.modalities),
        models=tuple(row.models),
        silent_seconds=row.silent_seconds,
        live=row.silent_seconds < WORKER_SILENCE_SECONDS,
        context_tokens=row.context_tokens,
        closed_lanes=tuple(row.closed_lanes),
        engine_fault=row.engine_fault,
        fault_seconds=row.fault_seconds,
        restarted_seconds=row.restarted_seconds,
    )
