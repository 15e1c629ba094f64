"""The client that every command uses: of the database that is configured, or of the local stack's. Knows no SQL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasks.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from tasks.client import Client


@contextlib.contextmanager
def connect(url: str | None = None, *, name: str = "redraft cli") -> Iterator[Client]:
    """A client of the user's database, or of `url`, closed at the end. Raises `DatabaseUnavailable`."""
    from tasks.client import Client
    from tasks.settings import load_settings
    from workers.addresses import NO_STACK, database_url

    configured = bool(load_settings().database_url.get_secret_value())
    with Client(url or database_url(), name=name, pool=1) as client:
        try:
            yield client
        except DatabaseUnavailable as error:
            if configured or "did not answer" not in str(error):
                raise
            raise DatabaseUnavailable(f"{NO_STACK} ({error})") from error
