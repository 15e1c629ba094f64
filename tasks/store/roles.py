"""Login roles. Owner is `session_user`, so each person and each fleet of workers has a login of its own."""

from __future__ import annotations

from typing import Literal

from psycopg import sql

from tasks.store.session import Database

Role = Literal["redraft_worker", "redraft_submitter"]


def ensure_login(admin_url: str, login: str, password: str, role: Role) -> None:
    """Makes `login` a member of `role` with this password, or sets both where it exists.

    Workers write for every owner: their logins have BYPASSRLS, which membership does not pass on.
    Needs a superuser and the schema. Raises `DatabaseUnavailable`.
    """
    bypass = sql.SQL("BYPASSRLS" if role == "redraft_worker" else "NOBYPASSRLS")
    name = sql.Identifier(login)
    with Database(admin_url) as database, database.begin() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        with raw.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (login,))
            verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
            cursor.execute(sql.SQL("{} ROLE {} LOGIN {} PASSWORD {}").format(verb, name, bypass, sql.Literal(password)))
            cursor.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), name))
