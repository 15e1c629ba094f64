"""What of a prompt was left out of each call, whether a job's problem may be cut, and the contexts of the models that
workers serve: so that a problem is refused, left to another worker, or cut where its owner can see it."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE jobs ADD cut BOOLEAN DEFAULT false NOT NULL;
GRANT INSERT (cut) ON jobs TO redraft_submitter;
-- One object a block: {"block": "problem", "left_out": 1200, "chars": 31000}, in characters.
ALTER TABLE calls ADD omissions JSONB DEFAULT '[]' NOT NULL;
CREATE INDEX calls_omissions ON calls (job_id) WHERE omissions <> '[]'::jsonb;
ALTER TABLE escalations ADD omissions JSONB DEFAULT '[]' NOT NULL;
ALTER TABLE workers ADD context_tokens INTEGER DEFAULT 0 NOT NULL, ADD answer_tokens INTEGER DEFAULT 0 NOT NULL;
-- The job's problem did not fit a context of so many tokens: only a worker with a larger one claims it.
ALTER TABLE leases ADD context_above INTEGER DEFAULT 0 NOT NULL;
"""
FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
# A fork has its job's problem, so it may cut it as well.
PARTS = [
    ("memory, recalled, attachments,\n", "memory, recalled, attachments, cut,\n"),
    ("source.recalled, source.attachments, job,", "source.recalled, source.attachments, source.cut, job,"),
]
VIEWS = {"job_summary": "j.cut", "call_history": "c.omissions"}


def upgrade() -> None:
    op.execute(COLUMNS)
    _replace(PARTS)
    for view, column in VIEWS.items():
        _redefine(view, "CREATE OR REPLACE VIEW", rf"regexp_replace(%s, '\n\s+FROM ', E',\n    {column}\n FROM ')")


def downgrade() -> None:
    for view, column in VIEWS.items():
        name = column.partition(".")[2]
        _redefine(view, f"DROP VIEW {view}; CREATE VIEW", rf"regexp_replace(%s, ',\s+([jc][.])?{name}\M', '')")
        op.execute(f"GRANT SELECT ON {view} TO redraft_reader, redraft_submitter")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {view} TO redraft_worker")
    _replace([(after, before) for before, after in PARTS])
    op.execute("""ALTER TABLE leases DROP context_above;
                  ALTER TABLE workers DROP context_tokens, DROP answer_tokens;
                  ALTER TABLE escalations DROP omissions;
                  ALTER TABLE calls DROP omissions;
                  ALTER TABLE jobs DROP cut""")


def _replace(parts: list[tuple[str, str]]) -> None:
    steps = "".join(
        f"""
        IF position($text${before}$text$ IN body) = 0 THEN
            RAISE EXCEPTION '% is not the one that this migration changes', '{FORK}';
        END IF;
        body := replace(body, $text${before}$text$, $text${after}$text$);"""
        for before, after in parts
    )
    op.execute(f"""DO $do$ DECLARE
        body text := pg_get_functiondef('public.{FORK}'::regprocedure);
    BEGIN{steps}
        EXECUTE body;
    END $do$""")


def _redefine(view: str, verb: str, change: str) -> None:
    definition = change % f"pg_get_viewdef('{view}'::regclass)"
    op.execute(f"""DO $do$ BEGIN
        EXECUTE (SELECT '{verb} {view} WITH (security_invoker = true) AS ' || {definition});
        END $do$""")
