from __future__ import annotations

import psycopg
import pytest

from tests.pages import DOCS, table
from workers.cli.sql import VIEWS

pytestmark = pytest.mark.integration
COLUMNS = """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
             WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""


def test_the_documentation_names_the_columns_of_every_view_with_their_types(admin_url: str) -> None:
    with psycopg.connect(admin_url.replace("+psycopg", "", 1)) as connection:
        for view in VIEWS:
            columns = [(name, type_) for name, type_, _ in table(DOCS / "sql.md", view)]
            assert columns == connection.execute(COLUMNS, (view,)).fetchall(), view


def test_every_view_runs_with_the_rights_of_who_asks(admin_url: str) -> None:
    with psycopg.connect(admin_url.replace("+psycopg", "", 1)) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace "
            "AND 'security_invoker=true' = ANY(reloptions)"
        ).fetchall()
    assert {row[0] for row in rows} == set(VIEWS)
