from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

pytestmark = pytest.mark.integration
README = (Path(__file__).parents[3] / "README.md").read_text()
VIEWS = (
    "job_summary", "iteration_history", "verdict_history", "call_history", "spend_by_day", "memory_lessons",
    "escalation_history",
)  # fmt: skip


def test_the_readme_names_the_columns_of_every_view(admin_url: str) -> None:
    with psycopg.connect(admin_url.replace("+psycopg", "", 1)) as connection:
        for view in VIEWS:
            cursor = connection.execute(f"SELECT * FROM {view} LIMIT 0")  # type: ignore[arg-type]
            real = [column.name for column in cursor.description or ()]
            found = re.search(rf"^\| `{view}` \| (.*) \|$", README, re.MULTILINE)
            assert found is not None, view
            assert found.group(1).split(", ") == real, view


def test_every_view_runs_with_the_rights_of_who_asks(admin_url: str) -> None:
    with psycopg.connect(admin_url.replace("+psycopg", "", 1)) as connection:
        rows = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace "
            "AND 'security_invoker=true' = ANY(reloptions)"
        ).fetchall()
    assert {row[0] for row in rows} == set(VIEWS)
