"""Addresses of databases as people write them: each form that libpq takes, and nonsense in one line without a word of
what was written."""

from __future__ import annotations

import pytest

from tasks.errors import DatabaseUnavailable, InvalidInput
from tasks.store.address import conninfo, parameters
from tasks.store.joblines import JobLines
from tasks.store.session import Database


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ada:hush@db:5433/redraft", {"host": "db", "port": "5433", "user": "ada", "dbname": "redraft"}),
        ("postgres://ada@db/redraft", {"host": "db", "user": "ada"}),
        ("postgresql+psycopg://ada:p%40ss@db/redraft", {"password": "p@ss"}),
        ("postgres://ada@db/redraft?sslmode=require", {"sslmode": "require"}),
        ("postgresql:///redraft?host=/var/run/postgresql", {"host": "/var/run/postgresql", "dbname": "redraft"}),
        ("postgresql://a.example,b.example:5433/redraft?target_session_attrs=read-write", {"port": ",5433"}),
        ("host=/tmp dbname=redraft user=ada", {"host": "/tmp", "user": "ada"}),
        ("  postgres://db/redraft?connect_timeout=9\n", {"connect_timeout": "9"}),
    ],
)
def test_each_form_that_libpq_takes_is_one_address(url: str, expected: dict[str, str]) -> None:
    found = parameters(url, "redraft test")
    assert {name: found[name] for name in expected} == expected
    assert found["application_name"] == "redraft test"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hush",
        "sqlite:///hush.db",
        "mysql://ada:hush@db/redraft",
        "postgresql://",
        "postgresql://ada:%hush@db/redraft",
        "postgresql://[::hush/redraft",
        "host=db pass=hush",
        "hush hush://db",
    ],
)
def test_nonsense_is_one_line_that_does_not_repeat_it(url: str) -> None:
    for use in (conninfo, Database, lambda text: JobLines(text, name="t")):
        with pytest.raises(InvalidInput, match=r"^database URL: ") as caught:
            use(url)
        assert "hush" not in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(InvalidInput, match='invalid URI query parameter: "sslmod"'):
        conninfo("postgres://ada:hush@db/redraft?sslmod=require")


def test_a_database_that_is_away_is_said_so_without_the_password() -> None:
    with (
        JobLines("postgres://ada:hush@127.0.0.1:1/redraft", name="t") as lines,
        pytest.raises(DatabaseUnavailable, match=r"Postgres did not answer: .*refused") as caught,
    ):
        lines.workers()
    assert "hush" not in str(caught.value)
