"""Every function of the schema, those to come included: none runs with more than it needs, nor what a login puts in
its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

pytestmark = pytest.mark.integration
Connection = psycopg.Connection[Any]

# What is wrong with each function of the schema. A path must end in pg_temp, and name nothing before it that a login
# could write to; a body names each table by its schema; and who may call it is named.
DEFECTS = r"""
WITH functions AS (
    SELECT p.oid::regprocedure AS name, p.prosecdef AS definer, p.prosrc AS body, r.*,
           coalesce((SELECT substr(c, 13) FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=%'), '') AS path,
           EXISTS (SELECT 1 FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
                   WHERE a.grantee = 0) AS everybodys,
           EXISTS (SELECT 1 FROM pg_auth_members m WHERE m.member = r.oid) AS joined
    FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner WHERE p.pronamespace = 'public'::regnamespace
), relations AS (
    SELECT string_agg(relname, '|') AS names FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
)
SELECT name, 'its search path is ' || path AS defect FROM functions WHERE path <> 'pg_catalog, pg_temp'
UNION ALL SELECT name, 'everybody may call it' FROM functions WHERE everybodys
UNION ALL SELECT name, 'its owner ' || rolname || ' may do too much' FROM functions
    WHERE definer AND (rolsuper OR rolcanlogin OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication
                       OR joined)
UNION ALL SELECT name, 'it names a table without its schema' FROM functions, relations
    WHERE body ~ ('(FROM|JOIN|INTO|UPDATE|TABLE)\s+(' || names || ')\y')
       OR body ~ ('(?<!public\.)\y(' || names || ')%(ROW)?TYPE')
"""


@pytest.fixture
def admin(admin_url: str) -> Iterator[Connection]:
    with psycopg.connect(admin_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection


def defects(admin: Connection) -> list[tuple[str, str]]:
    return [(str(name), why) for name, why in admin.execute(DEFECTS).fetchall()]


def test_no_function_runs_with_more_than_it_needs_or_what_a_login_puts_in_its_way(admin: Connection) -> None:
    count = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
    assert admin.execute(count).fetchone() == (15,)
    assert defects(admin) == []


BODY = "$$ SELECT count(*) FROM public.jobs $$"
SAFE = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"


@pytest.mark.parametrize(
    ("function", "defect"),
    [
        (f"SECURITY DEFINER SET search_path = pg_catalog, public AS {BODY}", "its search path is pg_catalog, public"),
        (f"SECURITY DEFINER SET search_path = pg_temp, pg_catalog AS {BODY}", "its search path is pg_temp, pg_catalog"),
        (f"SECURITY DEFINER AS {BODY}", "its search path is "),
        (f"SECURITY INVOKER AS {BODY}", "its search path is "),
        (f"{SAFE} AS $$ SELECT count(*) FROM jobs $$", "it names a table without its schema"),
        (f"{SAFE} AS {BODY}", "everybody may call it"),
        (f"{SAFE} AS {BODY}", "its owner redraft_admin may do too much"),
    ],
)
def test_the_next_function_that_is_careless_is_noticed(admin: Connection, function: str, defect: str) -> None:
    admin.execute("SET check_function_bodies = off")  # it may name what is out of its own path
    admin.execute(f"CREATE FUNCTION public.careless() RETURNS bigint LANGUAGE sql {function}")  # type: ignore[arg-type]
    assert ("careless()", defect) in defects(admin)


def test_a_careful_one_is_not(admin: Connection) -> None:
    admin.execute(f"CREATE FUNCTION public.careful() RETURNS bigint LANGUAGE sql {SAFE} AS {BODY}")  # type: ignore[arg-type]
    admin.execute("REVOKE ALL ON FUNCTION public.careful() FROM PUBLIC")
    admin.execute("ALTER FUNCTION public.careful() OWNER TO redraft_owner")
    assert defects(admin) == []


def test_an_unqualified_row_type_is_noticed(admin: Connection) -> None:
    admin.execute("SET check_function_bodies = off")
    admin.execute(f"""CREATE FUNCTION public.typed() RETURNS void LANGUAGE plpgsql {SAFE}
        AS $$ DECLARE one jobs%ROWTYPE; BEGIN RETURN; END $$""")  # type: ignore[arg-type]
    assert ("typed()", "it names a table without its schema") in defects(admin)


def test_neither_the_database_nor_its_schema_lets_a_login_make_anything(
    admin: Connection, login: Callable[..., str]
) -> None:
    login("eve")
    for right in ("TEMP", "CREATE"):
        assert admin.execute("SELECT has_database_privilege('eve', current_database(), %s)", (right,)).fetchone() == (
            False,
        )
    assert admin.execute("SELECT has_schema_privilege('eve', 'public', 'CREATE')").fetchone() == (False,)
    assert admin.execute("SELECT has_schema_privilege('redraft_owner', 'public', 'CREATE')").fetchone() == (False,)


def test_the_functions_owner_owns_nothing_else_and_nobody_can_become_it(
    admin: Connection, login: Callable[..., str]
) -> None:
    login("eve")
    owned = """SELECT relname FROM pg_class WHERE relowner = 'redraft_owner'::regrole"""
    assert admin.execute(owned).fetchall() == []
    members = """SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname <> 'redraft_owner'
                 AND pg_has_role(oid, 'redraft_owner', 'MEMBER')"""
    assert admin.execute(members).fetchall() == []
