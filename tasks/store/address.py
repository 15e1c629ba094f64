"""The address of a database as a person writes it, checked once and given to libpq as it is: `postgresql://`,
`postgres://`, SQLAlchemy's `postgresql+psycopg://`, with parameters such as `?sslmode=require`, or libpq's own
`host=… dbname=…`. No message shows what was written, since a password may be in it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from tasks.errors import InvalidInput

SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
ALLOWED = "postgresql://USER:PASSWORD@HOST:PORT/NAME, or host=… dbname=… as libpq takes it"
# A connection that hangs is worse than one that fails: the lease of the job it writes for runs out meanwhile. Half-open
# ones (a pulled cable, a paused server) are given up by the kernel after about ten seconds. An address may say else.
CONNECTING = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
# libpq's words that name a parameter, and never a value.
_NAMING = ("invalid URI query parameter", "invalid connection option")


def conninfo(url: str) -> str:
    """`url` in a form that libpq takes. Raises `InvalidInput`."""
    return _read(url)[0]


def parameters(url: str, name: str) -> dict[str, Any]:
    """What a connection of `url` is made with, by libpq's names; `name` is shown by pg_stat_activity. Raises
    `InvalidInput`."""
    return {**CONNECTING, **_read(url)[1], "application_name": name}


def _read(url: str) -> tuple[str, dict[str, Any]]:
    text = url.strip()
    scheme, separator, rest = text.partition("://")
    shown = f"{scheme}://..." if separator and scheme.replace("+", "").isalnum() else "..."
    if separator:
        if scheme not in SCHEMES or not rest:
            raise InvalidInput("database URL", shown, ALLOWED)
        text = f"postgresql://{rest}"
    try:
        found = dict(conninfo_to_dict(text))
    except psycopg.ProgrammingError as error:
        reason = str(error).strip().split("\n", 1)[0]
        named = f" ({reason})" if reason.startswith(_NAMING) else ""
        raise InvalidInput("database URL", shown, ALLOWED + named) from None
    if not found:
        raise InvalidInput("database URL", "", ALLOWED)
    return text, found
