"""Columns that say what names and texts had to: the step, check and vote of a judge's call, whether a job has moved up
to the large model and how often it was retried; and plain names for a job's queue rank, a stale task id and lost work.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

UPGRADE_NAMES = """
ALTER TABLE leases RENAME place TO queue_rank;
ALTER TABLE leases RENAME ghost TO stale_task_id;
ALTER INDEX leases_place RENAME TO leases_queue_rank;
"""
DOWNGRADE_NAMES = """
ALTER TABLE leases RENAME queue_rank TO place;
ALTER TABLE leases RENAME stale_task_id TO ghost;
ALTER INDEX leases_queue_rank RENAME TO leases_place;
"""

COLUMNS = (
    "ADD step TEXT DEFAULT '' NOT NULL, ADD check_name TEXT DEFAULT '' NOT NULL, ADD vote INTEGER DEFAULT 0 NOT NULL"
)
KEYS = {
    "calls": ("calls_once", "UNIQUE", "job_id, iteration, operator, slot"),
    "reservations": ("reservations_pkey", "PRIMARY KEY", "job_id, epoch, iteration, operator, slot"),
}

# A judge's calls had their check, judge prompt, try and step in their attempt, ten apart: 1 + 10 * number, where number
# is ((check * 7 + prompt) * 2 + try) * 2 + step. Checks are counted among those of kind `judge`.
SPLIT = """
UPDATE {table} t SET step = CASE n.number % 2 WHEN 0 THEN 'report' ELSE 'verdict' END, vote = 1 + n.number / 4 % 7,
       attempt = 1 + n.number / 2 % 2, check_name = coalesce(c.name, 'judge ' || n.number / 28)
FROM {table} o CROSS JOIN LATERAL (SELECT (o.attempt - 1) / 10 AS number) n
     JOIN jobs j ON j.id = o.job_id LEFT JOIN LATERAL (
         SELECT e.value ->> 'name' AS name, row_number() OVER (ORDER BY e.ordinality) - 1 AS judge
         FROM jsonb_array_elements(CASE jsonb_typeof(j.checks) WHEN 'array' THEN j.checks ELSE '[]' END)
              WITH ORDINALITY e
         WHERE e.value ->> 'kind' = 'judge') c ON c.judge = n.number / 28
WHERE o.operator = 'judge' AND o.ctid = t.ctid
"""
JOIN = """
UPDATE {table} t SET attempt = 1 + 10 * (((coalesce(c.judge, 0) * 7 + t.vote - 1) * 2 + t.attempt - 1) * 2
       + CASE t.step WHEN 'verdict' THEN 1 ELSE 0 END)
FROM {table} o JOIN jobs j ON j.id = o.job_id LEFT JOIN LATERAL (
         SELECT e.value ->> 'name' AS name, row_number() OVER (ORDER BY e.ordinality) - 1 AS judge
         FROM jsonb_array_elements(CASE jsonb_typeof(j.checks) WHEN 'array' THEN j.checks ELSE '[]' END)
              WITH ORDINALITY e
         WHERE e.value ->> 'kind' = 'judge') c ON c.name = o.check_name
WHERE o.step <> '' AND o.ctid = t.ctid
"""

JOBS = "ALTER TABLE jobs ADD moved_up BOOLEAN DEFAULT false NOT NULL, ADD retries INTEGER DEFAULT 0 NOT NULL"
# From the events that stood for them. A job that has ended and breaks a limit of 0011 can't be written to: it stays.
FROM_EVENTS = """
DO $do$ DECLARE past record; BEGIN
    FOR past IN SELECT job_id, bool_or(kind = 'moved up') AS moved_up,
                       count(*) FILTER (WHERE kind = 'retried') AS retries
                FROM events WHERE kind IN ('moved up', 'retried') GROUP BY job_id LOOP
        BEGIN
            UPDATE jobs SET moved_up = past.moved_up, retries = past.retries WHERE id = past.job_id;
        EXCEPTION WHEN check_violation THEN NULL;
        END;
    END LOOP;
END $do$
"""
RETRY = "public.redraft_retry(bigint, numeric, double precision, integer, bigint)"
COUNTED = ("lesson_due = false, reason", "lesson_due = false, retries = retries + 1, reason")

# `redraft_crash_bill` is the name of 0009, kept for one release.
LOST_WORK = """
CREATE FUNCTION public.redraft_lost_work(job bigint) RETURNS jsonb LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object(
        'crashes', count(*), 'calls', coalesce(sum(calls), 0),
        'tokens', coalesce(sum(tokens), 0), 'tokens_at_most', coalesce(sum(tokens_at_most), 0),
        'seconds', coalesce(sum(seconds), 0), 'seconds_at_most', coalesce(sum(seconds_at_most), 0),
        'why', coalesce((array_agg(why ORDER BY epoch DESC))[1], ''))
    FROM public.crashes WHERE job_id = job
$$;
REVOKE ALL ON FUNCTION public.redraft_lost_work(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.redraft_lost_work(bigint) TO redraft_reader, redraft_submitter, redraft_worker;
"""
ADDED = {
    "job_summary": "redraft_lost_work(j.id) AS lost_work",
    "call_history": "c.step, c.check_name, c.vote",
}


def upgrade() -> None:
    op.execute(UPGRADE_NAMES)
    for table, (constraint, kind, columns) in KEYS.items():
        op.execute(f"ALTER TABLE {table} {COLUMNS}, DROP CONSTRAINT {constraint}")
        op.execute(SPLIT.format(table=table))
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT {constraint} {kind} ({columns}, step, check_name, vote, attempt)"
        )
    op.execute(JOBS)
    op.execute(FROM_EVENTS)
    _redefine_retry(*COUNTED)
    op.execute(LOST_WORK)
    for view, columns in ADDED.items():
        _redefine_view(
            view, "CREATE OR REPLACE VIEW", rf"regexp_replace(%s, '\n\s+FROM ', E',\n    {columns}\n FROM ')"
        )


def downgrade() -> None:
    _redefine_view("call_history", "DROP VIEW call_history; CREATE VIEW", _without("step", "check_name", "vote"))
    _redefine_view(
        "job_summary",
        "DROP VIEW job_summary; CREATE VIEW",
        r"regexp_replace(%s, ',\s+redraft_lost_work\(j\.id\) AS \w+', '')",
    )
    for view in ADDED:
        op.execute(f"GRANT SELECT ON {view} TO redraft_reader, redraft_submitter")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {view} TO redraft_worker")
    op.execute("DROP FUNCTION public.redraft_lost_work(bigint)")
    _redefine_retry(*reversed(COUNTED))
    op.execute("ALTER TABLE jobs DROP moved_up, DROP retries")
    for table, (constraint, kind, columns) in KEYS.items():
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        op.execute(JOIN.format(table=table))
        op.execute(
            f"""ALTER TABLE {table} DROP step, DROP check_name, DROP vote,
                ADD CONSTRAINT {constraint} {kind} ({columns}, attempt)"""
        )
    op.execute(DOWNGRADE_NAMES)


def _without(*columns: str) -> str:
    return r"regexp_replace(%s, '" + "".join(rf",\s+(c\.)?{column}" for column in columns) + "', '')"


def _redefine_view(view: str, verb: str, change: str) -> None:
    """The view as it stands but for `change`: which columns the revisions before gave it is theirs to know."""
    definition = change % f"pg_get_viewdef('{view}'::regclass)"
    op.execute(f"""DO $do$ BEGIN
        EXECUTE (SELECT '{verb} {view} WITH (security_invoker = true) AS ' || {definition});
        END $do$""")


def _redefine_retry(old: str, new: str) -> None:
    op.execute(f"""DO $do$ DECLARE
        before text := pg_get_functiondef('{RETRY}'::regprocedure);
        after text := replace(before, '{old}', '{new}');
    BEGIN
        IF after = before THEN
            RAISE EXCEPTION '% is not the one that this migration changes', '{RETRY}';
        END IF;
        EXECUTE after;
    END $do$""")
