"""What a submitter's login may try in SQL, as data: `database.py` runs it. @job@, @lesson@ and @own@ are numbers of a
victim's job and lesson and of a job of the attacker's own; @me@ and @victim@ are the logins.

Nothing here is an answer of ours to what it tries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_SCHEMA = (Path(__file__).parents[2] / "migrations" / "schema.sql").read_text()
# Every table of the schema with its columns, and every view: what a migration adds is attacked without being named.
TABLES = {
    name: tuple(re.findall(r"^    ([a-z_][a-z0-9_]*) (?!.*GENERATED)", body, re.MULTILINE))
    for name, body in re.findall(
        r"^CREATE (?:UNLOGGED )?TABLE public\.(\w+) \((.*?)^\);", _SCHEMA, re.MULTILINE | re.DOTALL
    )
}
VIEWS = tuple(re.findall(r"^CREATE VIEW public\.(\w+) ", _SCHEMA, re.MULTILINE))
# Tables that a submitter may look into whole: they hold nothing of anybody's.
COMMON = ("workers", "providers", "alembic_version")
# Those in which a submission makes rows of its own; what else may stand in them is among the forgeries.
SUBMITTED = ("jobs", "batches", "attachments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Statements in their order, each tried whatever became of the one before. `refused`: the last must fail, whatever
    it changes; the others may run as long as they show and change nothing of anybody else's."""

    name: str
    statements: tuple[str, ...]
    refused: bool = False


def _look(name: str, *statements: str) -> Script:
    return Script(name=name, statements=statements)


def _must_fail(name: str, *statements: str) -> Script:
    return Script(name=name, statements=statements, refused=True)


_FAKE_JOB = (
    "CREATE TEMP TABLE jobs (LIKE public.jobs INCLUDING DEFAULTS)",
    "INSERT INTO pg_temp.jobs (id, owner, state, spec_hash, title, problem, checks, strategy, lane, egress, budget_usd,"
    " budget_hours, budget_iterations, budget_tokens) SELECT @job@, session_user, 'running', '', '', '', '[]', '', '',"
    " '', 1, 1, 1, 1",
    "GRANT ALL ON pg_temp.jobs TO PUBLIC",
)
_CALLS = (
    "SELECT public.redraft_owns(@job@)",
    "SELECT public.redraft_pause(@job@)",
    "SELECT public.redraft_cancel(@job@)",
    "SELECT public.redraft_hint(@job@, 'Say yes.')",
    "SELECT public.redraft_edit(@job@, NULL, NULL, 9, NULL, 100, NULL, 'mine', '[]', 0)",
)

SHADOWS = (
    _look("a temporary table in the place of jobs", *_FAKE_JOB, *_CALLS),
    _look(
        "a trigger of its own on a temporary table, to become superuser",
        *_FAKE_JOB,
        "CREATE TEMP TABLE leases (job_id bigint, owner text, lane text, worker text, runnable bool, epoch bigint)",
        "INSERT INTO pg_temp.leases SELECT @job@, session_user, 'gpu', NULL, true, 0",
        "CREATE TEMP TABLE events (job_id bigint, kind text, detail text DEFAULT '')",
        "GRANT ALL ON pg_temp.leases, pg_temp.events TO PUBLIC",
        "CREATE FUNCTION pg_temp.rise() RETURNS trigger LANGUAGE plpgsql AS"
        " $f$ BEGIN EXECUTE 'ALTER ROLE @me@ SUPERUSER'; RETURN NEW; END $f$",
        "CREATE TRIGGER rise BEFORE UPDATE ON pg_temp.jobs FOR EACH ROW EXECUTE FUNCTION pg_temp.rise()",
        *_CALLS,
    ),
    _look(
        "a temporary view in the place of jobs",
        "CREATE TEMP VIEW jobs AS SELECT @job@ AS id, session_user AS owner",
        *_CALLS,
    ),
    _look(
        "a temporary view in the place of pg_roles",
        "CREATE TEMP VIEW pg_roles AS SELECT session_user AS rolname, true AS rolsuper, true AS rolbypassrls",
        "SET search_path = pg_temp, pg_catalog, public",
        *_CALLS,
    ),
    _look(
        "a function of its own in the place of coalesce's kin",
        "CREATE FUNCTION pg_temp.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS"
        " $f$ BEGIN EXECUTE 'ALTER ROLE @me@ SUPERUSER'; END $f$",
        "SELECT public.redraft_pause(@own@)",
        "SELECT public.redraft_resume(@own@)",
    ),
    _look(
        "an operator of its own that always agrees",
        "CREATE FUNCTION pg_temp.agree(text, name) RETURNS bool LANGUAGE sql AS 'SELECT true'",
        "CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = name, FUNCTION = pg_temp.agree)",
        "SET search_path = pg_temp, pg_catalog",
        *_CALLS,
    ),
    _look(
        "a type of its own in the place of text",
        "CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (false)",
        "SELECT public.redraft_pause(@job@)",
    ),
    _look("a search path that begins with its own", "SET search_path = pg_temp, public", *_FAKE_JOB, *_CALLS),
)

OBJECTS = tuple(
    _must_fail(f"makes: {statement.split(' AS ')[0][:60]}", statement)
    for statement in (
        "CREATE TEMP TABLE t (a int)",
        "CREATE TEMP SEQUENCE s",
        "SELECT 1 AS a INTO TEMP t",
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE public.t (a int)",
        "CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION public.redraft_owns(job bigint) RETURNS bool LANGUAGE sql AS 'SELECT true'",
        "CREATE FUNCTION public.redraft_owns(job integer) RETURNS bool LANGUAGE sql AS 'SELECT true'",
        "CREATE VIEW public.v AS SELECT * FROM public.jobs",
        "CREATE OR REPLACE VIEW public.job_summary AS SELECT * FROM public.jobs",
        "CREATE MATERIALIZED VIEW public.m AS SELECT * FROM public.jobs",
        "CREATE SCHEMA mine",
        "CREATE SCHEMA AUTHORIZATION redraft_owner",
        "CREATE EXTENSION dblink",
        "CREATE EXTENSION file_fdw",
        "CREATE EXTENSION plpython3u",
        "CREATE LANGUAGE plperlu",
        "CREATE EVENT TRIGGER e ON ddl_command_start EXECUTE FUNCTION public.redraft_submitted()",
        "CREATE TRIGGER t BEFORE UPDATE ON public.jobs FOR EACH ROW EXECUTE FUNCTION public.redraft_submitted()",
        "CREATE RULE r AS ON INSERT TO public.jobs DO ALSO SELECT 1",
        "CREATE POLICY p ON public.jobs USING (true)",
        "CREATE INDEX i ON public.jobs (title)",
        "CREATE STATISTICS s ON title, state FROM public.jobs",
        "CREATE PUBLICATION p FOR ALL TABLES",
        "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw",
        "CREATE TABLESPACE t LOCATION '/tmp'",
        "CREATE DATABASE mine",
        "CREATE COLLATION public.c FROM \"C\"",
        "CREATE CAST (text AS integer) WITH INOUT AS IMPLICIT",
    )
)  # fmt: skip

CHANGES = tuple(
    _must_fail(f"changes: {statement[:60]}", statement)
    for statement in (
        "ALTER TABLE public.jobs DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE public.jobs NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE public.jobs OWNER TO @me@",
        "ALTER TABLE public.jobs DISABLE TRIGGER ALL",
        "ALTER TABLE public.jobs DROP CONSTRAINT jobs_checks",
        "ALTER FUNCTION public.redraft_owns(bigint) SET search_path = pg_temp, public",
        "ALTER FUNCTION public.redraft_owns(bigint) OWNER TO @me@",
        "ALTER VIEW public.job_summary SET (security_invoker = false)",
        "DROP POLICY own ON public.jobs",
        "DROP FUNCTION public.redraft_cancel(bigint)",
        "DROP TABLE public.jobs CASCADE",
        "TRUNCATE public.jobs CASCADE",
        "COMMENT ON TABLE public.jobs IS 'mine'",
        "ALTER DEFAULT PRIVILEGES FOR ROLE redraft_owner GRANT ALL ON TABLES TO PUBLIC",
        "ALTER SYSTEM SET log_statement = 'all'",
        "ALTER ROLE ALL SET search_path = pg_temp",
        "SET session_replication_role = replica",
        "SET log_statement = 'none'",
        "LOAD '/tmp/x.so'",
        "CHECKPOINT",
    )
)

ROLES = (
    *(
        _must_fail(f"becomes {role}", f"SET ROLE {role}")
        for role in ("redraft_owner", "redraft_worker", "@victim@", "pg_execute_server_program", "pg_read_all_data")
    ),
    *(
        _must_fail(f"rises: {statement[:60]}", statement)
        for statement in (
            "SET SESSION AUTHORIZATION @victim@",
            "ALTER ROLE @me@ SUPERUSER",
            "ALTER ROLE @me@ BYPASSRLS",
            "ALTER ROLE @me@ CREATEROLE",
            "ALTER ROLE @me@ CONNECTION LIMIT -1",
            "ALTER ROLE @victim@ PASSWORD 'known'",
            "ALTER ROLE redraft_owner LOGIN PASSWORD 'known'",
            "GRANT redraft_worker TO @me@",
            "GRANT redraft_owner TO @me@",
            "GRANT pg_read_server_files TO @me@",
            "GRANT @victim@ TO @me@",
            "CREATE ROLE other SUPERUSER LOGIN",
            "REASSIGN OWNED BY redraft_owner TO @me@",
            "DROP OWNED BY @victim@",
            "DO $f$ BEGIN EXECUTE 'ALTER ROLE ' || session_user || ' SUPERUSER'; END $f$",
        )
    ),
    _look("lifts row-level security", "SET row_security = off", "SELECT * FROM public.jobs"),
    _look("says that it is a superuser", "SELECT set_config('is_superuser', 'on', false)", "SELECT * FROM public.jobs"),
    _look("lifts row-level security as a reader", "SET ROLE redraft_reader", "SELECT * FROM public.jobs"),
)  # fmt: skip

HOST = tuple(
    _must_fail(f"reaches the host: {statement[:60]}", statement)
    for statement in (
        "COPY (SELECT 1) TO PROGRAM 'id'",
        "COPY public.jobs (title) FROM PROGRAM 'id'",
        "COPY public.jobs (title) FROM '/etc/passwd'",
        "COPY (SELECT 1) TO '/tmp/written'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_read_binary_file('PG_VERSION')",
        "SELECT pg_ls_dir('.')",
        "SELECT pg_ls_logdir()",
        "SELECT pg_stat_file('PG_VERSION')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT lo_export(1, '/tmp/written')",
        "SELECT pg_reload_conf()",
        "SELECT pg_switch_wal()",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> session_user",
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename <> session_user",
        "SELECT pg_create_physical_replication_slot('s')",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_xact_lock(hashtext('redraft_wake'))",
    )
)

READS = (
    *(_look(f"reads {name}", f"SELECT * FROM public.{name}") for name in (*TABLES, *VIEWS)),
    *(
        _look(f"reads {name} with an error that would show it", statement)
        for name, statement in (
            ("jobs", "SELECT * FROM public.jobs WHERE problem::int > 0"),
            ("jobs", "SELECT * FROM public.jobs WHERE 1 / (CASE WHEN problem LIKE 'S%' THEN 0 ELSE 1 END) = 1"),
            ("jobs", "SELECT * FROM public.jobs WHERE title::regclass IS NULL"),
            ("candidates", "SELECT * FROM public.candidates WHERE text::numeric > 0"),
            ("verdicts", "SELECT * FROM public.verdict_history WHERE feedback::date IS NULL"),
            ("calls", "SELECT * FROM public.call_history WHERE text::inet IS NULL"),
            ("lessons", "SELECT * FROM public.memory_lessons WHERE advice::json IS NULL"),
        )
    ),
    _look("reads by a statement in a function", "SELECT query_to_xml('SELECT * FROM public.jobs', true, true, '')"),
    _look("reads a table as XML", "SELECT table_to_xml('public.calls', true, true, '')"),
    _look("reads the schema as XML", "SELECT schema_to_xml('public', true, true, '')"),
    _look("reads words", "SELECT * FROM ts_stat('SELECT to_tsvector(problem) FROM public.jobs')"),
    _look("reads a copy", "COPY (SELECT * FROM public.jobs) TO STDOUT"),
    _look("reads a sample", "SELECT * FROM public.jobs TABLESAMPLE SYSTEM (100)"),
    _look("reads a row by its place", "SELECT * FROM public.jobs WHERE ctid = '(0,1)'"),
    _look("reads statistics", "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE schemaname = 'public'"),
    _look("reads raw statistics", "SELECT stavalues1 FROM pg_statistic"),
    _look("reads a plan", "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM public.jobs WHERE problem LIKE 'S%'"),
    _look("reads others' statements", "SELECT query FROM pg_stat_activity WHERE usename <> session_user"),
    _look("reads the toast", "DO $f$ DECLARE t text; BEGIN SELECT reltoastrelid::regclass INTO t FROM pg_class"
          " WHERE relname = 'jobs'; EXECUTE 'SELECT chunk_data FROM ' || t; END $f$"),
    _must_fail("reads passwords", "SELECT rolpassword FROM pg_authid"),
    _must_fail("reads large objects", "SELECT * FROM pg_largeobject"),
    _look("asks for another's lost work", "SELECT public.redraft_lost_work(@job@)"),
    _look("asks for it by its old name", "SELECT public.redraft_crash_bill(@job@)"),
    _look("names another's attachment in a job of its own",
          "INSERT INTO public.jobs (spec_hash, title, problem, checks, strategy, lane, egress, budget_usd,"
          " budget_hours, budget_iterations, budget_tokens, attachments) SELECT '', 't', 'p', '[{\"kind\": \"answer\","
          " \"name\": \"a\", \"value\": 1}]', 'correct', 'gpu', 'never', 1, 1, 1, 1,"
          " jsonb_build_array(jsonb_build_object('name', 'a', 'media_type', 'text/plain',"
          " 'bytes', 1, 'sha256', sha256)) FROM public.attachments"),
)  # fmt: skip

WRITES = (
    *(_must_fail(f"deletes from {name}", f"DELETE FROM public.{name}") for name in TABLES),
    *(
        _must_fail(f"updates {name} in {columns[-1]}", f"UPDATE public.{name} SET {columns[-1]} = DEFAULT")
        for name, columns in TABLES.items()
    ),
    *(
        _must_fail(f"inserts {columns[-1]} into {name}",
                   f"INSERT INTO public.{name} ({columns[-1]}) SELECT NULL WHERE false")
        for name, columns in TABLES.items() if name not in SUBMITTED
    ),
    *(
        _must_fail(f"updates {name}", f"UPDATE public.{name} SET {column} = {column}")
        for name, column in (
            ("jobs", "state"), ("leases", "worker"), ("candidates", "accepted"), ("verdicts", "passed"),
            ("iterations", "decision"), ("calls", "usd"), ("events", "kind"), ("lessons", "advice"),
            ("escalations", "state"), ("attachments", "content"), ("outbox", "payload"), ("owner_usage", "owner"),
            ("workers", "lanes"), ("hints", "text"), ("edits", "given_by"), ("questions", "closed_at"),
            ("reservations", "tokens"), ("job_summary", "state"),
            ("alembic_version", "version_num"),
        )
    ),
    *(
        _must_fail(f"inserts into {statement.split()[0]}", f"INSERT INTO public.{statement}")
        for statement in (
            "leases (job_id, owner, lane, priority) VALUES (@own@, '@me@', 'gpu', 100)",
            "iterations (job_id, number, operator, move) VALUES (@own@, 1, 'draft', '{}')",
            "candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision, accepted)"
            " VALUES (@own@, 1, 0, 'draft', 'x', 1, 0, 0, true)",
            "verdicts VALUES (@own@, 1, 0, 'answer', 0, 'answer', false, true, 1, '', 0, 'w', 1)",
            "events (job_id, kind) VALUES (@job@, 'accepted')",
            "lessons (job_id, owner, kind, situation, advice, avoid, evidence)"
            " VALUES (@job@, '@victim@', 'success', 's', 'obey', '', 'e')",
            "outbox (job_id, topic, payload) VALUES (@job@, 'memory.remove', '{\"lesson\": 1}')",
            "crashes VALUES (@job@, 1, 'w', '', 0, 0, 0, 0, 0)",
            "owner_usage VALUES ('@victim@', now(), 1e9)",
            "workers (name, host, pid, lanes, slots, version) VALUES ('w', 'h', 1, '{gpu,cloud}', 9, '0')",
            "hints (job_id, text, given_by) VALUES (@own@, 'x', '@victim@')",
            "attachments (owner, sha256, media_type, content) VALUES ('@victim@', '', 'text/plain', '')",
            "attachments (sha256, media_type, content) VALUES (repeat('0', 64), 'text/plain', 'not this')",
        )
    ),
)  # fmt: skip

_COLUMNS = ("spec_hash, title, problem, checks, strategy, lane, egress, budget_usd, budget_hours, budget_iterations,"
            " budget_tokens")  # fmt: skip
_VALUES = (
    "'h', 't', 'p', '[{\"kind\": \"answer\", \"name\": \"a\", \"value\": 1}]', 'correct', 'gpu', 'never', 1, 1, 1, 1"
)
FORGERIES = (
    *(
        _must_fail(f"submits with a {column} of its own",
                   f"INSERT INTO public.jobs ({_COLUMNS}, {column}) VALUES ({_VALUES}, {value})")
        for column, value in (
            ("id", "@job@"), ("id", "9223372036854775807"), ("id", "@job@ + 100"), ("owner", "'@victim@'"),
            ("state", "'accepted'"), ("acceptance", "'verified'"), ("answer", "'forged'"), ("score", "1"),
            ("answer_iteration", "1"), ("iterations", "5"), ("spent_usd", "-1000"), ("local_tokens", "-1000000"),
            ("engine_seconds", "-1e9"), ("crashes", "-1000"), ("faults", "-1000"), ("recalled", "'[]'"),
            ("forked_from", "@job@"), ("submitted_at", "now() - interval '9 years'"), ("idle_seconds", "1e9"),
            ("over_usd", "1000"), ("over_local_tokens", "1000000"), ("over_cloud_tokens", "1000000"),
            ("lesson_due", "true"), ("reason", "'forged'"), ("started_at", "now()"), ("finished_at", "now()"),
        )
    ),
    _must_fail("takes a number past the sequence", f"INSERT INTO public.jobs (id, {_COLUMNS}) OVERRIDING SYSTEM VALUE"
               f" VALUES (@job@ + 7, {_VALUES})"),
    _must_fail("turns the sequence", "SELECT setval('public.jobs_id_seq', 1)"),
    _must_fail("draws from the sequence", "SELECT nextval('public.jobs_id_seq')"),
    _must_fail("changes a job by its key", f"INSERT INTO public.jobs (key, {_COLUMNS}) VALUES ('k', {_VALUES})"
               " ON CONFLICT (owner, key) DO UPDATE SET state = 'accepted'"),
    _must_fail("merges into a job", "MERGE INTO public.jobs j USING (SELECT 1) s ON j.id = @own@"
               " WHEN MATCHED THEN UPDATE SET state = 'accepted'"),
    *(
        _must_fail(f"submits {name}", f"INSERT INTO public.jobs ({_COLUMNS}) VALUES ({_VALUES.replace(old, new, 1)})")
        for name, old, new in (
            ("a check of no shape", "[{", '["x", {'), ("no list of checks", "'[{", "'{\"a\": [{"),
            ("a lane of nobody's", "'gpu'", "'cloud'"), ("an egress of its own", "'never'", "'all'"),
            ("no number of hours", "1, 1, 1, 1", "1, 'NaN', 1, 1"), 
            ("no number of dollars", "1, 1, 1, 1", "'NaN', 1, 1, 1"),
            ("tokens without end", "1, 1, 1, 1", "1, 1, 1, 9000000000000000"),
            ("a check with all the memory", '"value"', '"memory_mb": 1000000, "value"'),
            ("a check without an end", '"value"', '"timeout_seconds": 1e9, "value"'),
            ("a file outside", '"value"', '"files": {"../x": "y"}, "value"'),
            ("a title that moves the cursor", "'t'", "E'\\x1b[2J'"),
        )
    ),
)  # fmt: skip

CALLS = (
    *(
        _look(f"calls redraft_{call.split('(')[0]} on another's", f"SELECT public.redraft_{call}")
        for call in (
            "cancel(@job@)", "pause(@job@)", "resume(@job@)", "retry(@job@, 1000, 1000, 1000, 1000)",
            "fork(@job@, 1, NULL, NULL, NULL, NULL, NULL, NULL)", "quarantine(@lesson@)",
        )
    ),
    _look("calls every function on every number", "SELECT public.redraft_cancel(n) FROM generate_series(1, 200) n"
          " WHERE n NOT IN (SELECT id FROM public.jobs)"),
    _must_fail("calls the trigger's function", "SELECT public.redraft_submitted()"),
    _must_fail("retries with a budget that is no number", "SELECT public.redraft_cancel(@own@)",
               "SELECT public.redraft_retry(@own@, 'NaN', 'NaN', NULL, NULL)"),
    _look("puts a statement into an argument", "SELECT public.redraft_cancel('@job@'::bigint)",
          "SELECT public.redraft_fork(@own@, 1, NULL, NULL, NULL, NULL, '''; ALTER ROLE @me@ SUPERUSER; --', NULL)"),
)  # fmt: skip

ALL = (*SHADOWS, *OBJECTS, *CHANGES, *ROLES, *HOST, *READS, *WRITES, *FORGERIES, *CALLS)
