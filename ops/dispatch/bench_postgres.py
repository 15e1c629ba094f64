"""A Postgres of the bench's own with databases to fill, gone at the end, and what a series of times comes to."""

from __future__ import annotations

import contextlib
import shutil
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from tasks.store.migrate import upgrade
from workers.home import Home
from workers.local.postgres import EmbeddedPostgres


class BenchPostgres:
    """Makes databases on one embedded Postgres, with its usual settings."""

    def __init__(self, home: Home, server: EmbeddedPostgres) -> None:
        self.home, self.server = home, server

    def database(self, name: str, *, schema: bool = True) -> str:
        """The superuser's URL of a new database, with Redraft's schema or empty."""
        with psycopg.connect(self.server.url.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
        url = self.server.url_of(name)
        if schema:
            upgrade(url)
        return url


@contextlib.contextmanager
def bench_postgres() -> Iterator[BenchPostgres]:
    """One Postgres in a temporary home."""
    home = Home(root=Path(tempfile.mkdtemp(prefix="redraft-queue-")))
    home.make()
    server = EmbeddedPostgres(home)
    server.start()
    try:
        yield BenchPostgres(home, server)
    finally:
        server.stop()
        shutil.rmtree(home.root, ignore_errors=True)
        shutil.rmtree(home.postgres_folder(), ignore_errors=True)


def spread(seconds: Sequence[float]) -> tuple[str, str]:
    """Median and 95th percentile in milliseconds."""
    return f"{statistics.median(seconds) * 1000:.1f}", f"{at(seconds, 0.95) * 1000:.1f}"


def at(seconds: Sequence[float], share: float) -> float:
    """The value below which `share` of the series lies."""
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))]
