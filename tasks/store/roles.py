"""Login roles. Supervisor is `session_user`, so each person and each fleet of workers has a login of its own."""

from __future__ import annotations

from typing import Literal, get_args

from psycopg import Cursor, sql

from tasks.store.session import Database

Role = Literal["redraft_worker", "redraft_submitter", "redraft_metrics"]
ROLES: tuple[Role, ...] = get_args(Role)

# Connections of one submitter's login: a person's terminals, scripts and views, and a small part of what a server
# takes. Postgres enforces it, whatever the login does.
CONNECTIONS = 20
# What a submitter's sessions begin with. A session may set these anew, so nothing rests on them: they end what a
# person forgot, and a worker passes over rows that somebody holds.
SETTINGS = {
    # Another session of the same person holds the row for milliseconds, or by mistake.
    "lock_timeout": "10s",
    # A terminal left open in a transaction keeps its rows locked and dead rows from being swept.
    "idle_in_transaction_session_timeout": "60s",
    # Longer than a history of any length takes to read.
    "statement_timeout": "15min",
}


def ensure_login(admin_url: str, login: str, password: str, role: Role) -> None:
    """Makes `login` a member of `role`, and of no other of ours, with this password and the role's limits; or sets
    them where it exists.

    Workers write for every owner: their logins have BYPASSRLS, which membership does not pass on. They, and those of
    metrics, which may call one function and read no row, connect where submitters have taken all other connections.
    Needs a superuser and the schema. Raises `DatabaseUnavailable`.
    """
    name, worker = sql.Identifier(login), role == "redraft_worker"
    attributes = sql.SQL("BYPASSRLS CONNECTION LIMIT -1" if worker else f"NOBYPASSRLS CONNECTION LIMIT {CONNECTIONS}")
    others = sql.SQL(", ").join(sql.Identifier(one) for one in ROLES if one != role)
    with Database(admin_url) as database, database.begin() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        with raw.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (login,))
            verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
            cursor.execute(
                sql.SQL("{} ROLE {} LOGIN {} PASSWORD {}").format(verb, name, attributes, sql.Literal(password))
            )
            cursor.execute(sql.SQL("REVOKE {} FROM {}").format(others, name))
            cursor.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name))
            for setting, value in SETTINGS.items():
                change = sql.SQL("RESET {}") if worker else sql.SQL("SET {} = {}")
                parts = [sql.Identifier(setting)] if worker else [sql.Identifier(setting), sql.Literal(value)]
                cursor.execute(sql.SQL("ALTER ROLE {} ").format(name) + change.format(*parts))
            _reserve(cursor, name, may=role != "redraft_submitter")


def _reserve(cursor: Cursor[tuple[object, ...]], login: sql.Identifier, *, may: bool) -> None:
    """Whether it may take a connection of those that `reserved_connections` keeps, since Postgres 16."""
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'pg_use_reserved_connections'")
    if cursor.fetchone():
        verb = sql.SQL("GRANT {} TO {}" if may else "REVOKE {} FROM {}")
        cursor.execute(verb.format(sql.Identifier("pg_use_reserved_connections"), login))
