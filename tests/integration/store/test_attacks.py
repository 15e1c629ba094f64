"""The attacks on the database see what gets through: where a wall is taken down, each kind says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.attacks.attack import Attack
from tests.attacks.database import ATTACKER, attacks
from tests.attacks.statements import COMMON, TABLES, VIEWS

pytestmark = pytest.mark.integration


@pytest.fixture
def named(admin_url: str, login: Callable[..., str]) -> dict[str, Attack]:
    return {attack.name.split(": ", 1)[-1]: attack for attack in attacks(admin_url, login)}


def test_there_are_at_least_sixty_statements_and_each_has_a_name_of_its_own(
    admin_url: str, login: Callable[..., str]
) -> None:
    every = list(attacks(admin_url, login))
    assert len(every) >= 60
    assert len({attack.name for attack in every}) == len(every)
    assert {attack.area for attack in every} == {"database"}


def test_every_table_and_view_that_a_submitter_may_read_would_show_the_victim(
    admin_url: str, named: dict[str, Attack]
) -> None:
    """Each holds something of the victim's, so that a policy which is missing is seen."""
    with psycopg.connect(admin_url.replace("+psycopg", "", 1), autocommit=True) as admin:
        readable = {
            str(name)
            for (name,) in admin.execute(
                "SELECT relname FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace = 'public'::regnamespace"
                " AND has_table_privilege('redraft_submitter', oid, 'SELECT')"
            )
        }
        assert readable <= {*TABLES, *VIEWS}
        try:
            admin.execute(f"ALTER ROLE {ATTACKER} BYPASSRLS")  # type: ignore[arg-type]
            shown = {name for name in readable if (named[f"reads {name}"].attempt() or "").startswith("it was shown")}
        finally:
            admin.execute(f"ALTER ROLE {ATTACKER} NOBYPASSRLS")  # type: ignore[arg-type]
    assert shown == readable - {*COMMON}


@pytest.mark.parametrize(
    ("fall", "name", "said"),
    [
        (f"ALTER ROLE {ATTACKER} BYPASSRLS", "reads candidates", "it was shown"),
        (f"ALTER ROLE {ATTACKER} BYPASSRLS", "reads jobs", "it was shown"),
        (f"ALTER ROLE {ATTACKER} BYPASSRLS", "calls redraft_pause on another's", "it changed the victim's jobs"),
        (f"ALTER ROLE {ATTACKER} SUPERUSER", "becomes redraft_owner", "it ran"),
        (f"ALTER ROLE {ATTACKER} SUPERUSER", "reaches the host: SELECT pg_read_file('/etc/passwd')", "it ran"),
        (f"GRANT CREATE ON SCHEMA public TO {ATTACKER}", "makes: CREATE TABLE public.t (a int)", "it changed the rel"),
        (f"GRANT INSERT (state) ON jobs TO {ATTACKER}", "submits with a state of its own", "it changed what a subm"),
        (f"GRANT UPDATE ON jobs TO {ATTACKER}", "updates jobs", "it ran"),
        (f"GRANT UPDATE (gone_at) ON hooks TO {ATTACKER}", "updates hooks in gone_at", "it ran"),
        (f"GRANT INSERT ON metric_totals TO {ATTACKER}", "inserts value into metric_totals", "it ran"),
        (f"ALTER ROLE {ATTACKER} BYPASSRLS", "reads owner_usage", "it was shown"),
        (
            f"GRANT UPDATE ON leases TO {ATTACKER}; ALTER ROLE {ATTACKER} BYPASSRLS",
            "holds rows for update",
            "Postgres did not answer",
        ),
        (
            "ALTER FUNCTION redraft_owns(bigint) SET search_path = pg_catalog, public;"
            " ALTER FUNCTION redraft_pause(bigint) SET search_path = pg_catalog, public; DO $f$ BEGIN EXECUTE"
            " format('GRANT TEMP ON DATABASE %I TO PUBLIC', current_database()); EXECUTE replace(pg_get_functiondef("
            "'redraft_owns(bigint)'::regprocedure), 'public.jobs', 'jobs'); END $f$",
            "a temporary table in the place of jobs",
            "it changed the victim's",
        ),
    ],
)
def test_a_wall_that_is_down_is_seen(admin_url: str, named: dict[str, Attack], fall: str, name: str, said: str) -> None:
    attack = named[name]
    assert attack.attempt() is None
    with psycopg.connect(admin_url.replace("+psycopg", "", 1), autocommit=True) as admin:
        try:
            admin.execute(fall)  # type: ignore[arg-type]
            seen: Any = attack.attempt()
        finally:
            admin.execute(f"ALTER ROLE {ATTACKER} NOSUPERUSER NOBYPASSRLS")  # type: ignore[arg-type]
    assert seen is not None
    assert seen.startswith(said)
