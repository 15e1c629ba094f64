"""What a crash is, and what a run came to: the pieces of the suite of crash points. It knows no job in particular."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from typing import Any

from sqlalchemy import Connection, Row, text

from tasks.crashpoints import CrashPoint
from tests.doubles import Killed

# A passing: the n-th, from 1, of a point in a run.
Passing = tuple[CrashPoint, int]

TABLES = (
    "jobs",
    "leases",
    "iterations",
    "candidates",
    "verdicts",
    "calls",
    "reservations",
    "escalations",
    "hints",
    "questions",
    "lessons",
    "outbox",
    "events",
)
# Numbers that any other job would have too, who did it, how long it took, and how often it was tried.
OTHER = {"id", "job_id", "epoch", "worker", "last_worker", "turn", "stale_task_id", "seconds", "engine_seconds"} | {
    "idle_seconds",
    "attempts",
    "crashes",
    "response_id",
    "provider",
    "request_sha256",
    "payload",
    "batch_id",
    "batch_first",
    "batch_rank",
    "prompt_hash",
}
# The evidence that a crash leaves, and nothing else does.
EVIDENCE = "lease expired"


class Fatal:
    """Kills at the given passings; counts what was passed and what was fatal."""

    def __init__(self, *at: Passing) -> None:
        self._at, self._lock = set(at), threading.Lock()
        self.passed: Counter[CrashPoint] = Counter()
        self.deaths: Counter[CrashPoint] = Counter()

    def __call__(self, point: CrashPoint) -> None:
        with self._lock:
            self.passed[point] += 1
            if (point, self.passed[point]) not in self._at:
                return
            self.deaths[point] += 1
        raise Killed

    def passings(self) -> list[Passing]:
        """Every passing so far."""
        return [(point, n + 1) for point, times in self.passed.items() for n in range(times)]


class Toll:
    """What all the runs with crashes came to."""

    def __init__(self) -> None:
        self.runs = 0
        self.deaths: Counter[CrashPoint] = Counter()
        self.diverged: list[str] = []

    def count(self, run: str, fatal: Fatal, different: str) -> None:
        """Adds a run, and where it came to something else than a run without faults."""
        self.runs += 1
        self.deaths.update(fatal.deaths)
        if different:
            self.diverged.append(f"{run}, {dict(fatal.deaths)}: {different}")

    def table(self, passed: Counter[CrashPoint]) -> str:
        """The crashes at each point beside how often ordinary runs pass it, and what they prove."""
        lines = [f"{point:<22}{passed[point]:>9}{self.deaths[point]:>9,}" for point in CrashPoint]
        proved = f"{len(self.diverged)} of {self.runs} runs diverged"
        if not self.diverged:
            proved += f": with 95 % confidence fewer than {3 / self.runs:.2%} do (rule of three)"
        head, total = (
            f"{'crash point':<22} passings  crashes",
            f"{'all':<22}{passed.total():>9}{self.deaths.total():>9,}",
        )
        return "\n".join([head, *lines, total, proved])


def job_rows(connection: Connection, job: int) -> dict[str, list[str]]:
    """All that is kept of a job, table by table, but for moments, attempts and numbers that each job has of its own."""
    kept = {}
    for table in TABLES:
        mine = "id" if table == "jobs" else "job_id"
        order = "ORDER BY id" if table == "events" else ""
        rows = connection.execute(text(f"SELECT * FROM {table} WHERE {mine} = :job {order}"), {"job": job})
        plain = [_plain(row) for row in rows if getattr(row, "kind", "") != EVIDENCE]
        kept[table] = plain if table == "events" else sorted(plain)
    return kept


def schema_lines(connection: Connection) -> list[str]:
    """A database's schema and revision, one line a thing."""
    found = connection.execute(
        text("""
        SELECT 'revision ' || version_num FROM alembic_version
        UNION ALL SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
            FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT viewname || ' ' || definition FROM pg_views WHERE schemaname = 'public'
        UNION ALL SELECT pg_get_functiondef(p.oid) || ' ' || coalesce(p.proacl::text, '') FROM pg_proc p
            WHERE p.pronamespace = 'public'::regnamespace
        UNION ALL SELECT format('policy %s on %s: %s %s', policyname, tablename, qual, with_check) FROM pg_policies
        UNION ALL SELECT format('%s %s', relname, relacl) FROM pg_class WHERE relnamespace = 'public'::regnamespace""")
    )
    return sorted(found.scalars())


def difference(expected: Any, got: Any) -> str:
    """Where two outcomes part, in a line; nothing where they don't."""
    if isinstance(expected, dict) and isinstance(got, dict):
        parts = ((key, difference(expected.get(key), got.get(key))) for key in sorted({*expected, *got}))
        return "; ".join(f"{key}: {part}" for key, part in parts if part)
    return "" if expected == got else f"{_only(expected, got) or expected} → {_only(got, expected) or got}"


def _plain(row: Row[Any]) -> str:
    values = {name: value for name, value in row._mapping.items() if name not in OTHER}
    for name, value in values.items():
        if name.endswith("_at") or name in (
            "at",
            "lease_until",
            "waiting_since",
            "waits_since",
            "held_since",
            "idle_since",
            "queue_rank",
            "answer_until",
        ):
            values[name] = value is not None
    request = values.get("request")
    if isinstance(request, dict):  # its key for the cloud's cache is made of the job's number
        values["request"] = {name: value for name, value in request.items() if name != "prompt_cache_key"}
    if "error" in values:  # why nothing came back is told in other words by a crash
        values["error"] = bool(values["error"])
    said = json.dumps(values, sort_keys=True, default=str)
    return re.sub(r"resp_\w+|\bjob \d+|( USD): [^\"]*", r"\1", said)


def _only(these: Any, those: Any) -> Any:
    if isinstance(these, list) and isinstance(those, list):
        return [one for one in these if one not in those]
    return these
