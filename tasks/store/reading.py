"""Somebody's own SQL, where it can change nothing: the reader's role, a read-only transaction, one statement,
half a minute. Row-level security still goes by the login, for it compares `session_user`."""

from __future__ import annotations

import re
from collections.abc import Iterable

import psycopg

from tasks.errors import DatabaseUnavailable, InvalidInput
from tasks.store.session import Database
from tasks.store.summaries import Rows

STATEMENT_SECONDS = 30
# What a terminal or a script can hold; the rest is for `LIMIT` or an export.
MOST_ROWS = 100_000
VERBS = ("select", "with", "values", "table", "explain", "show")


def run_sql(database: Database, query: str) -> Rows:
    """The answer to one reading statement. Raises `InvalidInput` with Postgres's own words, `DatabaseUnavailable`."""
    if "\0" in query or any("\ud800" <= letter <= "\udfff" for letter in query):
        raise InvalidInput("sql", query.strip(), "text of Unicode without NUL")
    first = re.match(r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*([a-z]+)", query, re.IGNORECASE | re.DOTALL)
    if first is None or first.group(1).lower() not in VERBS:
        raise InvalidInput("sql", query.strip(), f"one statement that begins with {', '.join(VERBS)}")
    with database.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        try:
            with raw.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
                cursor.execute(f"SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'")
                cursor.execute("SET LOCAL ROLE redraft_reader")
                # A pipeline takes the protocol that refuses a second statement after a semicolon.
                with raw.pipeline():
                    cursor.execute(query.encode())
                names = [column.name for column in cursor.description or ()]
                rows = cursor.fetchmany(MOST_ROWS + 1) if names else []
        except psycopg.errors.QueryCanceled:
            raise InvalidInput("sql", query.strip(), f"it ran longer than {STATEMENT_SECONDS} s") from None
        except psycopg.OperationalError as error:
            raise DatabaseUnavailable(f"Postgres did not answer: {_line(error)}") from error
        except psycopg.Error as error:
            raise InvalidInput("sql", query.strip(), _line(error)) from None
        finally:
            raw.rollback()
    return Rows(columns=_unique(names), rows=tuple(rows[:MOST_ROWS]), cut=len(rows) > MOST_ROWS)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    """Column names, those seen before with a number behind, so that a row can be an object."""
    seen: list[str] = []
    for name in names:
        twins = sum(1 for other in seen if other == name or re.fullmatch(re.escape(name) + r"_\d+", other))
        seen.append(f"{name}_{twins + 1}" if name in seen else name)
    return tuple(seen)


def _line(error: psycopg.Error) -> str:
    message = error.diag.message_primary or str(error).strip().split("\n")[0]
    return f"{message}; {error.diag.message_hint}" if error.diag.message_hint else message
