"""How a command reaches the database: the one that is configured, or the local stack's. Knows no SQL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasks.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from tasks.client import Client
    from tasks.store.joblines import JobLines


@contextlib.contextmanager
def connect(url: str | None = None, *, name: str = "redraft cli") -> Iterator[Client]:
    """A client of the user's database, or of `url`, closed at the end. Raises `DatabaseUnavailable`."""
    from tasks.client import Client
    from workers.addresses import database_url

    with Client(url or database_url(), name=name, pool=1) as client, _explained():
        yield client


@contextlib.contextmanager
def job_lines(url: str | None = None, *, name: str = "redraft cli") -> Iterator[JobLines]:
    """The same for a command that only lists, in a third of the time. Raises `DatabaseUnavailable`."""
    from tasks.store.joblines import JobLines
    from workers.addresses import database_url

    with JobLines(url or database_url(), name=name) as lines, _explained():
        yield lines


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Says how to start a stack, where none is configured otherwise."""
    from tasks.locations import configured_database
    from workers.addresses import NO_STACK

    configured = bool(configured_database())
    try:
        yield
    except DatabaseUnavailable as error:
        if configured or "did not answer" not in str(error):
            raise
        raise DatabaseUnavailable(f"{NO_STACK} ({error})") from error
