"""Reads every number that is measured, in one statement: `redraft_metrics()` adds up the rows of all owners, and its
caller may read none of them. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import text

from tasks.store.session import Database, explained

# The statement takes milliseconds. One that takes longer is given up before Prometheus gives up its scrape (10 s).
READ_SECONDS = 8.0

# Its plan looks dear to Postgres, and compiling it takes ten times as long as running it.
_BOUND = text(
    f"SELECT set_config('statement_timeout', '{int(READ_SECONDS * 1000)}', true), set_config('jit', 'off', true)"
)
_READ = text("SELECT name, labels, value FROM redraft_metrics()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One number, by Prometheus's name for it."""

    name: str
    labels: Mapping[str, str]
    value: float


def read_metrics(database: Database) -> tuple[Sample, ...]:
    """All numbers, of one moment. Raises `DatabaseUnavailable`."""
    with database.begin() as connection, explained():
        connection.execute(_BOUND)
        return tuple(Sample(**row._mapping) for row in connection.execute(_READ))
