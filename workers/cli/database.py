"""Which database the command line talks to: the one that is configured, or the local stack's. Knows no SQL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasks.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from tasks.store.session import Database

NO_STACK = "no stack is running; start one with `redraft up`, or set REDRAFT_DATABASE_URL"


def database_url(*, admin: bool = False) -> str:
    """The URL of the user's login, or of one that may change the schema.

    Raises `DatabaseUnavailable` where neither a setting nor a stack names a database.
    """
    from tasks.settings import load_settings

    settings = load_settings()
    configured = settings.database_url.get_secret_value()
    if configured:
        return configured
    from workers import stackfile

    stack = stackfile.read(settings.home)
    if stack is None:
        raise DatabaseUnavailable(NO_STACK)
    return stack.admin_url if admin else stack.user_url


@contextlib.contextmanager
def open_database() -> Iterator[Database]:
    """The user's database, closed at the end. Raises `DatabaseUnavailable`."""
    from tasks.settings import load_settings
    from tasks.store.session import Database

    configured = bool(load_settings().database_url.get_secret_value())
    with Database(database_url(), name="redraft cli", pool=1) as database:
        try:
            yield database
        except DatabaseUnavailable as error:
            if configured or "did not answer" not in str(error):
                raise
            raise DatabaseUnavailable(f"{NO_STACK} ({error})") from error
