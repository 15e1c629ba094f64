"""Runs the migrations over the caller's connection, under one advisory lock, so that two upgrades at once are safe: the
second waits and finds nothing left to do. Where the caller allows it, a database without a schema is first given that
of `schema.sql`, and only what came after it is left to the migrations."""

from __future__ import annotations

from pathlib import Path

from alembic import context
from sqlalchemy import Connection, create_engine, text

from tasks.crashpoints import CrashPoint, passing

LOCK = 0x7265_6472_6166_74  # "redraft": one key for every release
# Whoever holds a table open in a transaction makes an upgrade wait, and everybody else behind it: better it fails, and
# is tried again.
LOCK_TIMEOUT = "20s"
SCHEMA = Path(__file__).with_name("schema.sql")


def _run(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK})
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    try:
        if context.config.attributes.get("fresh"):
            _create(connection)
        context.configure(
            connection=connection,
            transaction_per_migration=True,
            on_version_apply=lambda **_: passing(CrashPoint.MIGRATING),
        )
        with context.begin_transaction():
            context.run_migrations()
    finally:
        connection.rollback()
        connection.execute(text("RESET lock_timeout"))
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK})
        connection.commit()


def _create(connection: Connection) -> None:
    """The whole schema in one transaction, where there is none."""
    with connection.begin():
        if connection.execute(text("SELECT to_regclass('public.alembic_version')")).scalar_one() is None:
            connection.connection.driver_connection.execute(SCHEMA.read_text())  # type: ignore[union-attr]
            passing(CrashPoint.MIGRATING)


attached: Connection | None = context.config.attributes.get("connection")
if attached is not None:
    _run(attached)
else:  # `alembic` itself, from a checkout: `alembic -x url=postgresql+psycopg://… upgrade head`
    url = context.get_x_argument(as_dictionary=True).get("url")
    if not url:
        raise SystemExit("give the database: alembic -x url=postgresql+psycopg://… upgrade head")
    with create_engine(url).connect() as own:
        _run(own)
