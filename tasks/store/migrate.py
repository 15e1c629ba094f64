"""Makes and changes the schema with the files that the package carries, so that an installed `redraft db upgrade` works
anywhere: a fresh database by one file of SQL, an older one by the chain of migrations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import ProgrammingError

from tasks.errors import DatabaseUnavailable, InvalidInput
from tasks.store.pooler import refuse_pooler_at
from tasks.store.session import Database


def _config() -> Config:
    """The migrations beside this file in an installed package, in the checkout's top level otherwise."""
    packed = Path(__file__).with_name("migrations")
    config = Config()
    config.set_main_option(
        "script_location", str(packed if packed.is_dir() else Path(__file__).parents[2] / "migrations")
    )
    return config


def head() -> str:
    """The revision this code was written for."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def current(admin_url: str) -> str | None:
    """The database's revision, None where it has no schema. Raises `DatabaseUnavailable`."""
    with Database(admin_url) as database, database.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def upgrade(admin_url: str, revision: str = "head") -> None:
    """Brings the database to `revision`; two at once are safe. Raises `InvalidInput`, `DatabaseUnavailable`.

    A database without a schema is made at once where `revision` is "head"; a revision by its number is reached through
    all before it.
    """
    refuse_pooler_at(admin_url, "a migration")
    with Database(admin_url) as database, database.connect() as connection, _explained(revision):
        command.upgrade(_with(connection, fresh=revision == "head"), revision)


def downgrade(admin_url: str, revision: str) -> None:
    """Takes the database back to `revision` (`base` for none). Its data go with the tables.

    Raises `InvalidInput`, `DatabaseUnavailable`.
    """
    refuse_pooler_at(admin_url, "a migration")
    with Database(admin_url) as database, database.connect() as connection, _explained(revision):
        command.downgrade(_with(connection), revision)


@contextlib.contextmanager
def _explained(revision: str) -> Iterator[None]:
    try:
        yield
    except CommandError as error:
        raise InvalidInput("revision", revision, str(error).split("\n")[0]) from None
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != "42501":
            raise
        why = str(error.orig).split("\n", 1)[0]
        raise DatabaseUnavailable(f"{why}: migrations need a login that may change the schema") from error


def _with(connection: Connection, *, fresh: bool = False) -> Config:
    config = _config()
    config.attributes.update(connection=connection, fresh=fresh)
    return config
