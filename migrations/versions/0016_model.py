"""A job may name the model that must work on it, and a worker the names that its model goes by. A lease needs the name
like a modality, so that the claim knows no more than before."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# The column's default is for jobs of earlier releases and for those that take any model.
COLUMNS = """
ALTER TABLE jobs ADD model TEXT DEFAULT '' NOT NULL CONSTRAINT jobs_model CHECK (length(model) <= 200);
GRANT INSERT (model) ON jobs TO redraft_submitter;
ALTER TABLE workers ADD models TEXT[] DEFAULT '{}' NOT NULL;
"""
SUBMITTED, FORK = (
    "redraft_submitted()",
    ("redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"),
)
NEEDS = (
    """IF NEW.attachments <> '[]' THEN
        UPDATE public.leases SET needs = ARRAY(
            SELECT DISTINCT split_part(a ->> 'media_type', '/', 1) FROM jsonb_array_elements(NEW.attachments) a)
""",
    """IF NEW.attachments <> '[]' OR NEW.model <> '' THEN
        UPDATE public.leases SET needs = ARRAY(
            SELECT DISTINCT split_part(a ->> 'media_type', '/', 1) FROM jsonb_array_elements(NEW.attachments) a
            UNION SELECT 'model:' || NEW.model WHERE NEW.model <> '')
""",
)
COPIED = (
    ("egress, priority, tags, seed,\n", "egress, priority, tags, model, seed,\n"),
    ("source.priority, source.tags,\n", "source.priority, source.tags, source.model,\n"),
)


def upgrade() -> None:
    op.execute(COLUMNS)
    _redefine(SUBMITTED, NEEDS)
    _redefine(FORK, *COPIED)
    op.execute(r"""DO $do$ BEGIN
        EXECUTE (SELECT 'CREATE OR REPLACE VIEW job_summary WITH (security_invoker = true) AS '
                 || regexp_replace(pg_get_viewdef('job_summary'::regclass), '\n\s+FROM ', E',\n    j.model\n FROM '));
        END $do$""")


def downgrade() -> None:
    op.execute(r"""DO $do$ BEGIN
        EXECUTE (SELECT 'DROP VIEW job_summary; CREATE VIEW job_summary WITH (security_invoker = true) AS '
                 || regexp_replace(pg_get_viewdef('job_summary'::regclass), ',\s+j\.model(?=\n)', ''));
        END $do$""")
    op.execute("GRANT SELECT ON job_summary TO redraft_reader, redraft_submitter")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON job_summary TO redraft_worker")
    _redefine(FORK, *((new, old) for old, new in COPIED))
    _redefine(SUBMITTED, NEEDS[::-1])
    op.execute("UPDATE leases SET needs = ARRAY(SELECT n FROM unnest(needs) n WHERE n NOT LIKE 'model:%')")
    op.execute("ALTER TABLE jobs DROP model; ALTER TABLE workers DROP models")


def _redefine(function: str, *changes: tuple[str, str]) -> None:
    """The function as it stands but for `changes`."""
    for old, new in changes:
        op.execute(f"""DO $do$ DECLARE
            before text := pg_get_functiondef('public.{function}'::regprocedure);
            after text := replace(before, $old${old}$old$, $new${new}$new$);
        BEGIN
            IF after = before THEN
                RAISE EXCEPTION '% is not the one that this migration changes', '{function}';
            END IF;
            EXECUTE after;
        END $do$""")
