"""Whether each host's engine does its part, by what its workers say of it: an outage that lasts is told once, and its
end. Level-triggered: whoever looks later sees the same, and two that look do no harm."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import Row, text

from tasks.store import hooks
from tasks.store.presence import STARTING
from tasks.store.session import Database
from tasks.store.workerrows import WORKER_SILENCE_SECONDS
from tasks.types import HookEvent, Lane

ENGINE_LANES = (Lane.GPU, Lane.FAST)

# A worker that died has left its row; one that signed off has none.
_WORKERS = text("""
SELECT host, lanes, closed_lanes, engine_fault, coalesce(engine_fault_at, seen_at) AS since,
       seen_at > now() - make_interval(secs => :silence) AS live
FROM workers WHERE (lanes || closed_lanes) && CAST(:engine AS text[]) ORDER BY host, seen_at
""")
_TOLD = text("""INSERT INTO engine_outages (host, why, since) VALUES (:host, :why, :since) ON CONFLICT DO NOTHING""")
_OVER = text("DELETE FROM engine_outages WHERE host = :host RETURNING why, since")
_FORGOTTEN = text("DELETE FROM engine_outages WHERE host <> ALL(:hosts)")


class Engine(Enum):
    """How a host's engines do."""

    WELL = "well"
    STARTING = "starting"  # neither the beginning of an outage nor its end
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """How the engines of a host do; `why` one is down, since a moment, and the `lanes` that it does not serve."""

    engine: Engine
    why: str = ""
    since: datetime | None = None
    lanes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outage:
    """An outage `since` a moment of the database's clock, first seen at one of ours."""

    why: str
    lanes: tuple[str, ...]
    since: datetime
    seen_at: float


class EngineWatch:
    """Parameters: `seconds` that an outage lasts before it is told; `clock` is monotonic."""

    def __init__(self, database: Database, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._database, self._seconds, self._clock = database, seconds, clock
        self._down: dict[str, _Outage] = {}

    def look(self) -> None:
        """Tells of what has changed. Raises `DatabaseUnavailable`."""
        with self._database.begin() as connection:
            values = {"silence": WORKER_SILENCE_SECONDS, "engine": [str(lane) for lane in ENGINE_LANES]}
            found = by_host(connection.execute(_WORKERS, values).all())
            for host, state in found.items():
                outage = self._follow(host, state)
                if state.engine is Engine.WELL:
                    over = connection.execute(_OVER, {"host": host}).one_or_none()
                    if over is not None:
                        data = {"host": host, "reason": over.why, "since": over.since.isoformat()}
                        hooks.tell(connection, HookEvent.ENGINE_UP, data)
                elif outage is not None and self._clock() - outage.seen_at >= self._seconds:
                    values = {"host": host, "why": outage.why, "since": outage.since}
                    if connection.execute(_TOLD, values).rowcount:
                        data = {"host": host, "reason": outage.why, "since": outage.since.isoformat()}
                        hooks.tell(connection, HookEvent.ENGINE_DOWN, {**data, "lanes": list(outage.lanes)})
            connection.execute(_FORGOTTEN, {"hosts": list(found)})
        self._down = {host: outage for host, outage in self._down.items() if host in found}

    def _follow(self, host: str, state: HostState) -> _Outage | None:
        """The outage that a host is in; while an engine is started again it is the one that was seen last."""
        known = self._down.get(host)
        if state.engine is Engine.WELL:
            self._down.pop(host, None)
        elif state.engine is Engine.DOWN and state.since is not None:
            since, seen_at = (known.since, known.seen_at) if known else (state.since, self._clock())
            self._down[host] = _Outage(why=state.why, lanes=state.lanes, since=since, seen_at=seen_at)
        return self._down.get(host)


def by_host(rows: Sequence[Row[Any]]) -> dict[str, HostState]:
    """Of workers with an engine, those of a host one after the other, the one that was seen last at the end.

    An engine is down where a worker that lives says so; where none that lives serves its lanes, also what a dead one
    said last, or that it went silent, counts.
    """
    found = dict[str, HostState]()
    for host in dict.fromkeys(row.host for row in rows):
        own = [row for row in rows if row.host == host]
        serves = any(row.live and not row.engine_fault and set(row.lanes) & set(ENGINE_LANES) for row in own)
        faulty = [row for row in own if row.engine_fault not in ("", STARTING) and (row.live or not serves)]
        silent = [] if serves else [row for row in own if not row.live and not row.engine_fault]
        if faulty or silent:
            row = (faulty or silent)[-1]
            lanes = tuple(sorted({*row.lanes, *row.closed_lanes} & set(ENGINE_LANES)))
            why = row.engine_fault or "its worker went silent"
            found[host] = HostState(engine=Engine.DOWN, why=why, since=row.since, lanes=lanes)
        else:
            found[host] = HostState(engine=Engine.WELL if serves else Engine.STARTING)
    return found
