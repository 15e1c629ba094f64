"""What a login may do is decided in the database alone: functions that no temporary object can mislead, with an owner
that is no superuser; INSERT by columns; each limit of a job as a constraint; no TEMP, CREATE or advisory lock for all.

What an earlier release stored must not stop the upgrade. A job that is open and breaks a constraint could not be
written to any more, so it ends `failed`, with the constraint's name in the reason. One that has ended stays as it was
written, and the constraints of a table that holds such a row stay NOT VALID: they bind what is written from now on.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

FUNCTIONS = Path(__file__).with_name("0011_functions.sql")
# Who may call what, beside its owner. A trigger's function is called by the trigger alone.
CALLERS = {
    "redraft_submitted()": "",
    "redraft_owns(bigint)": "redraft_submitter, redraft_worker",
    "redraft_cancel(bigint)": "redraft_submitter, redraft_worker",
    "redraft_pause(bigint)": "redraft_submitter, redraft_worker",
    "redraft_resume(bigint)": "redraft_submitter, redraft_worker",
    "redraft_quarantine(bigint)": "redraft_submitter, redraft_worker",
    "redraft_retry(bigint, numeric, double precision, integer, bigint)": "redraft_submitter, redraft_worker",
    "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)": (
        "redraft_submitter, redraft_worker"
    ),
    "redraft_crash_bill(bigint)": "redraft_reader, redraft_submitter, redraft_worker",
}
INVOKED_BY_VIEWS = "redraft_crash_bill(bigint)"  # with the rights of who asks: row-level security holds in it

# What the functions' owner needs, table by table, and no more. Row-level security holds for it as for everybody.
RIGHTS = {
    "jobs": "SELECT, INSERT, UPDATE",
    "leases": "SELECT, INSERT, UPDATE",
    "lessons": "SELECT, UPDATE",
    "iterations": "SELECT, INSERT",
    "candidates": "SELECT, INSERT",
    "verdicts": "SELECT, INSERT",
    "events": "INSERT",
    "outbox": "INSERT",
}

# What a submission writes. Whose it is follows from the login, its number from the sequence, and its state, its answer
# and what it spent are the workers'.
SUBMITTED = {
    "jobs": "key, spec_hash, title, problem, checks, strategy, lane, egress, priority, tags, seed, budget_usd, "
    "budget_hours, budget_iterations, budget_tokens, memory, attachments",
    "attachments": "sha256, media_type, content",
}

# The limits of tasks/submit.py, tasks/jobchecks.py and tasks/attachments.py. NaN is more than any number in Postgres.
_CHECK = """@.type() == "object" && @.kind.type() == "string" && @.name.type() == "string" && exists(@.value)
    && (!exists(@.held_out) || @.held_out.type() == "boolean")
    && (!exists(@.timeout_seconds) || (@.timeout_seconds.type() == "number"
        && @.timeout_seconds > 0 && @.timeout_seconds <= 3600))
    && (!exists(@.memory_mb) || (@.memory_mb.type() == "number" && @.memory_mb.floor() == @.memory_mb
        && @.memory_mb >= 16 && @.memory_mb <= 65536))
    && (!exists(@.isolation) || @.isolation == "process" || @.isolation == "shared")
    && (!exists(@.runtime) || @.runtime like_regex "^([a-z0-9][a-z0-9_-]{0,63})?$")
    && (!exists(@.files) || @.files.type() == "object")"""
_ATTACHMENT = """@.type() == "object" && @.name.type() == "string" && @.bytes.type() == "number" && @.bytes >= 0
    && @.media_type.type() == "string" && @.media_type like_regex "^(text|image|audio)/"
    && @.sha256.type() == "string" && @.sha256 like_regex "^[0-9a-f]{64}$" """
_OUTSIDE = r'@.key like_regex "^$|^/|(^|/)\\.\\.(/|$)" || (@.value.type() != "string" && !exists(@.value.base64))'
JOBS = {
    "jobs_title": r"char_length(title) BETWEEN 1 AND 200 AND title !~ '[\u0001-\u001f\u007f]'",
    "jobs_problem": "octet_length(problem) BETWEEN 1 AND 1000000",
    "jobs_checks": f"""CASE jsonb_typeof(checks) WHEN 'array' THEN
        jsonb_array_length(checks) BETWEEN 1 AND 50 AND pg_column_size(checks) <= 32000000
        AND NOT checks @? '$[*] ? (!({_CHECK}))' ELSE false END""",
    "jobs_check_files": f"NOT coalesce(checks @? '$[*].files.keyvalue() ? ({_OUTSIDE})', false)",
    "jobs_strategy": "strategy ~ '^[A-Za-z][A-Za-z0-9._-]{0,99}$'",
    "jobs_lane": "lane IN ('gpu', 'fast')",
    "jobs_egress": "egress IN ('never', 'hint', 'full')",
    "jobs_priority": "priority BETWEEN -100 AND 100",
    # Joined and split again, a tag with a space in it, an empty one or a NULL changes their number.
    "jobs_tags": r"""cardinality(tags) <= 20 AND coalesce(array_ndims(tags), 1) = 1
        AND cardinality(string_to_array(array_to_string(tags, ' '), ' ')) = cardinality(tags)
        AND array_to_string(tags, ' ') ~ '^([A-Za-z0-9][-A-Za-z0-9._:/]{0,49}( |$))*$'""",
    "jobs_seed": "seed BETWEEN 0 AND 2147483647",
    "jobs_key": r"key IS NULL OR char_length(key) BETWEEN 1 AND 200 AND key !~ '[\u0001-\u001f\u007f]'",
    "jobs_spec_hash": "octet_length(spec_hash) <= 64",
    "jobs_budget": """budget_usd > 0 AND budget_usd <= 100000 AND budget_hours > 0 AND budget_hours <= 8760
        AND budget_iterations BETWEEN 1 AND 10000 AND budget_tokens BETWEEN 1 AND 1000000000000""",
    "jobs_attachments": f"""CASE jsonb_typeof(attachments) WHEN 'array' THEN
        jsonb_array_length(attachments) <= 16 AND NOT attachments @? '$[*] ? (!({_ATTACHMENT}))' ELSE false END""",
    "jobs_recalled": "recalled IS NULL OR jsonb_typeof(recalled) = 'array'",
    "jobs_state": """state IN ('queued', 'running', 'paused', 'accepted', 'unsolved', 'cancelled', 'quarantined',
        'failed')""",
    "jobs_acceptance": "acceptance IS NULL OR acceptance IN ('verified', 'judged')",
}
ATTACHMENTS = {
    "attachments_sha256": "sha256 = encode(pg_catalog.sha256(content), 'hex')",
    "attachments_content": "octet_length(content) <= 20000000",
    "attachments_media_type": "media_type ~ '^(text|image|audio)/[A-Za-z0-9.+-]{1,100}$'",
}
FINAL = "('accepted', 'unsolved', 'cancelled', 'quarantined', 'failed')"

# A lock that anybody can take under anybody's key, and objects outside every table.
_TAKEN_FROM_ALL = r"^pg_(try_)?advisory_|^lo_(creat|create|from_bytea|import)$"


def upgrade() -> None:
    _make_owner()
    op.execute(FUNCTIONS.read_text())
    for signature, callers in CALLERS.items():
        if signature != INVOKED_BY_VIEWS:
            op.execute(f"ALTER FUNCTION public.{signature} OWNER TO redraft_owner")
        op.execute(f"REVOKE ALL ON FUNCTION public.{signature} FROM PUBLIC")
        if callers:
            op.execute(f"GRANT EXECUTE ON FUNCTION public.{signature} TO {callers}")
    op.execute("REVOKE CREATE ON SCHEMA public FROM redraft_owner, PUBLIC")
    _on_database("REVOKE TEMPORARY, CREATE ON DATABASE %I FROM PUBLIC")
    _on_catalogue("REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC")
    _on_catalogue("GRANT EXECUTE ON FUNCTION %s TO redraft_worker, pg_database_owner")
    for table, columns in SUBMITTED.items():
        op.execute(f"REVOKE INSERT ON {table} FROM redraft_submitter")
        op.execute(f"GRANT INSERT ({columns}) ON {table} TO redraft_submitter")
    _end_what_breaks_a_limit()
    for table, limits in (("jobs", JOBS), ("attachments", ATTACHMENTS)):
        added = (f"ADD CONSTRAINT {name} CHECK ({limit}) NOT VALID" for name, limit in limits.items())
        op.execute(f"ALTER TABLE {table} {', '.join(added)}")
        valid = ", ".join(f"VALIDATE CONSTRAINT {name}" for name in limits)  # one look at each row for all of them
        op.execute(f"""DO $do$ BEGIN ALTER TABLE {table} {valid};
            EXCEPTION WHEN check_violation THEN NULL; END $do$""")


def downgrade() -> None:
    for table, limits in (("jobs", JOBS), ("attachments", ATTACHMENTS)):
        for name in limits:
            op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for table in SUBMITTED:
        op.execute(f"REVOKE INSERT ON {table} FROM redraft_submitter")  # of its columns, too
        op.execute(f"GRANT INSERT ON {table} TO redraft_submitter")
    _on_catalogue("REVOKE EXECUTE ON FUNCTION %s FROM redraft_worker, pg_database_owner")
    _on_catalogue("GRANT EXECUTE ON FUNCTION %s TO PUBLIC")
    _on_database("GRANT TEMPORARY ON DATABASE %I TO PUBLIC")
    for signature in CALLERS:
        op.execute(f"ALTER FUNCTION public.{signature} OWNER TO CURRENT_USER")
        # The revisions before change parts of these texts, in which nothing is qualified.
        op.execute(f"""DO $do$ BEGIN EXECUTE replace(replace(pg_get_functiondef('public.{signature}'::regprocedure),
            'public.', ''), '''pg_catalog'', ''pg_temp''', '''pg_catalog'', ''public'''); END $do$""")
    op.execute("GRANT EXECUTE ON FUNCTION redraft_submitted(), redraft_crash_bill(bigint) TO PUBLIC")
    for table in RIGHTS:
        op.execute(f"DROP POLICY definer ON {table}")
        op.execute(f"REVOKE ALL ON {table} FROM redraft_owner")
    op.execute("REVOKE ALL ON SEQUENCE jobs_id_seq FROM redraft_owner")
    op.execute("REVOKE ALL ON SCHEMA public FROM redraft_owner")
    op.execute("""DO $do$ BEGIN DROP ROLE redraft_owner; -- another database of the cluster may still need it
        EXCEPTION WHEN dependent_objects_still_exist OR object_in_use THEN NULL; END $do$""")


def _make_owner() -> None:
    """A role that nobody is and that only owns the functions; it owns no table."""
    op.execute("""DO $do$ BEGIN CREATE ROLE redraft_owner NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $do$""")
    op.execute("""DO $do$ BEGIN -- who hands a function to a role must be able to become it
        IF NOT pg_has_role(CURRENT_USER, 'redraft_owner', 'MEMBER') THEN
            EXECUTE format('GRANT redraft_owner TO %I', CURRENT_USER);
        END IF; END $do$""")
    op.execute("GRANT USAGE, CREATE ON SCHEMA public TO redraft_owner")
    op.execute("GRANT USAGE ON SEQUENCE jobs_id_seq TO redraft_owner")
    for table, rights in RIGHTS.items():
        op.execute(f"GRANT {rights} ON {table} TO redraft_owner")
        op.execute(f"CREATE POLICY definer ON {table} TO redraft_owner USING (true) WITH CHECK (true)")


def _on_database(statement: str) -> None:
    op.execute(f"DO $do$ BEGIN EXECUTE format('{statement}', current_database()); END $do$")


def _on_catalogue(statement: str) -> None:
    """For functions of Postgres's own, which a superuser alone may grant; elsewhere they stay everybody's."""
    op.execute(f"""DO $do$ DECLARE one regprocedure; BEGIN
        IF (SELECT rolsuper FROM pg_roles WHERE rolname = CURRENT_USER) THEN
            FOR one IN SELECT oid FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
                       AND proname ~ '{_TAKEN_FROM_ALL}' LOOP
                EXECUTE format('{statement}', one);
            END LOOP;
        END IF; END $do$""")


def _end_what_breaks_a_limit() -> None:
    broken = " ".join(f"WHEN ({limit}) IS FALSE THEN '{name}'" for name, limit in JOBS.items())
    op.execute(rf"""
        WITH judged AS (
            SELECT id, CASE {broken} END AS broken FROM jobs WHERE state NOT IN {FINAL} OR lesson_due
        ), ended AS (
            UPDATE jobs j SET state = CASE WHEN state IN {FINAL} THEN state ELSE 'failed' END, lesson_due = false,
                   reason = CASE WHEN state IN {FINAL} THEN reason
                       ELSE 'it was stored before the database had the limit ' || broken || ', and breaks it' END,
                   finished_at = coalesce(finished_at, now())
            FROM judged WHERE judged.id = j.id AND broken IS NOT NULL RETURNING j.id, j.reason
        ), freed AS (
            UPDATE leases l SET runnable = false, epoch = epoch + 1, worker = NULL, turn = NULL, lease_until = NULL
            FROM ended WHERE l.job_id = ended.id
        )
        INSERT INTO events (job_id, kind, detail) SELECT id, 'failed', reason FROM ended""")
