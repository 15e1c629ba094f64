"""Changes of a job's checks and title, which hold from its next iteration on; the verdicts of earlier iterations stay,
and so do the checks that gave them."""

from __future__ import annotations

from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

COLUMNS = """
-- The first iteration whose candidates were judged by the checks as they are now.
ALTER TABLE jobs ADD checks_since INTEGER DEFAULT 1 NOT NULL;
ALTER TABLE edits ADD title TEXT, ADD checks JSONB, ADD checks_before JSONB,
    -- A change of these waits for the job's next iteration; then that is its first.
    ADD waits BOOLEAN DEFAULT false NOT NULL, ADD iteration INTEGER;
CREATE INDEX edits_waiting ON edits (job_id) WHERE waits;
DO $do$ DECLARE
    rule record;
BEGIN
    FOR rule IN SELECT replace(conname, 'jobs_', 'edits_') AS name, pg_get_constraintdef(oid) AS said FROM pg_constraint
                WHERE conrelid = 'public.jobs'::regclass
                AND conname IN ('jobs_title', 'jobs_checks', 'jobs_check_files')
    LOOP
        EXECUTE format('ALTER TABLE public.edits ADD CONSTRAINT %I %s', rule.name,
                       replace(rule.said, 'ELSE false', 'ELSE (checks IS NULL)'));
    END LOOP;
END $do$;
"""
OLD = "redraft_edit(bigint, numeric, double precision, integer, bigint, integer, text[])"
EDIT = "redraft_edit(bigint, numeric, double precision, integer, bigint, integer, text[], text, jsonb, bigint)"
NAMES = "redraft_check_names(jsonb)"
PARTS = [
    (
        "its_priority integer, its_tags text[])",
        "its_priority integer, its_tags text[], its_title text, its_checks jsonb, checks_edit bigint)",
    ),
    (
        "    rule text;\nBEGIN",
        "    rule text;\n    has_title text;\n    has_checks jsonb;\n    waiting boolean;\nBEGIN",
    ),
    (
        "    SELECT * INTO old FROM public.jobs WHERE id = job;\n",
        """    SELECT * INTO old FROM public.jobs WHERE id = job;
    has_title := coalesce((SELECT e.title FROM public.edits e WHERE e.job_id = job AND e.waits AND e.title IS NOT NULL
                           ORDER BY e.id DESC LIMIT 1), old.title);
    has_checks := coalesce((SELECT e.checks FROM public.edits e WHERE e.job_id = job AND e.waits
                            AND e.checks IS NOT NULL ORDER BY e.id DESC LIMIT 1), old.checks);
""",
    ),
    ("'tags', old.tags);", "'tags', old.tags, 'title', has_title, 'checks', public.redraft_check_names(has_checks));"),
    (
        "'priority', its_priority, 'tags', its_tags));",
        "'priority', its_priority, 'tags', its_tags, 'title', its_title,\n"
        "        'checks', public.redraft_check_names(its_checks)));\n"
        "    waiting := was -> 'title' <> now_is -> 'title' OR was -> 'checks' <> now_is -> 'checks';",
    ),
    (
        "    ELSIF was = now_is THEN",
        """    ELSIF its_checks IS NOT NULL AND checks_edit <> coalesce((SELECT max(e.id) FROM public.edits e
              WHERE e.job_id = job AND e.checks IS NOT NULL), 0) THEN
        RAISE EXCEPTION 'JOB' USING ERRCODE = 'RD001', DETAIL = job,
            HINT = 'its checks were changed by somebody else just now; look at them and change them again';
    ELSIF was = now_is THEN""",
    ),
    (
        "    INSERT INTO public.edits (job_id, given_by, before, after, iterations)\n",
        "    INSERT INTO public.edits (job_id, given_by, before, after, iterations, title, checks, checks_before,\n"
        "                              waits)\n",
    ),
    (
        "               old.iterations\n        FROM jsonb_each(was) w",
        """               old.iterations, nullif(its_title, has_title),
               CASE WHEN was -> 'checks' <> now_is -> 'checks' THEN its_checks END,
               CASE WHEN was -> 'checks' <> now_is -> 'checks' THEN has_checks END, waiting
        FROM jsonb_each(was) w""",
    ),
]
FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
FORKED = [
    ("files, ask, ask_hours, temperature,\n", "files, ask, ask_hours, temperature, checks_since,\n"),
    (
        "source.ask_hours, source.temperature, job,",
        "source.ask_hours, source.temperature, least(source.checks_since, upto + 1), job,",
    ),
    (
        "AND i.finished_at IS NOT NULL AND k.guard IS NULL\n",
        "AND i.finished_at IS NOT NULL AND k.guard IS NULL\n"
        "          AND i.number >= least(source.checks_since, CASE WHEN upto < source.checks_since THEN 1 "
        "ELSE source.checks_since END)\n",
    ),
]
HELPER = f"""
CREATE FUNCTION public.{NAMES.replace("jsonb", "checks jsonb")} RETURNS jsonb LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp AS $$
-- What a change of checks is known by: their names, which are held out, and the beginning of a digest of each.
SELECT jsonb_agg(concat(c.value ->> 'name', CASE WHEN (c.value ->> 'held_out')::boolean THEN ' (held out)' END, ' #',
                        left(encode(sha256(convert_to(c.value::text, 'UTF8')), 'hex'), 8)) ORDER BY c.place)
FROM jsonb_array_elements(checks) WITH ORDINALITY AS c(value, place)
$$;
"""
CALLERS = "redraft_submitter, redraft_worker"


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(HELPER)
    _own(NAMES, "")
    _redefine(OLD, PARTS)
    _own(EDIT, CALLERS)
    op.execute(f"DROP FUNCTION public.{OLD}")
    _redefine(FORK, FORKED)


def downgrade() -> None:
    op.execute("UPDATE edits SET before = before - 'title' - 'checks', after = after - 'title' - 'checks'")
    _redefine(FORK, [(after, before) for before, after in FORKED])
    _redefine(EDIT, [(after, before) for before, after in PARTS])
    _own(OLD, CALLERS)
    op.execute(f"DROP FUNCTION public.{EDIT}; DROP FUNCTION public.{NAMES}")
    op.execute("""DROP INDEX edits_waiting;
        ALTER TABLE edits DROP title, DROP checks, DROP checks_before, DROP waits, DROP iteration;
        ALTER TABLE jobs DROP checks_since""")


def _own(function: str, callers: str) -> None:
    op.execute("GRANT CREATE ON SCHEMA public TO redraft_owner")
    op.execute(f"ALTER FUNCTION public.{function} OWNER TO redraft_owner")
    op.execute("REVOKE CREATE ON SCHEMA public FROM redraft_owner")
    op.execute(f"REVOKE ALL ON FUNCTION public.{function} FROM PUBLIC")
    if callers:
        op.execute(f"GRANT EXECUTE ON FUNCTION public.{function} TO {callers}")


def _redefine(function: str, parts: list[tuple[str, str]]) -> None:
    steps = "".join(
        f"""
        IF position($text${before}$text$ IN body) = 0 THEN
            RAISE EXCEPTION '% is not the one that this migration changes: {number}', '{function}';
        END IF;
        body := replace(body, $text${before}$text$, $text${after}$text$);"""
        for number, (before, after) in enumerate(parts)
    )
    op.execute(f"""DO $do$ DECLARE
        body text := pg_get_functiondef('public.{function}'::regprocedure);
    BEGIN{steps}
        EXECUTE body;
    END $do$""")
