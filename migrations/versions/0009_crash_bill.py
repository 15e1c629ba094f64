"""What a crash cost a job: calls in flight say how far they have come, and a lease that is lost leaves a bill."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# A reservation is a call in flight. `received_tokens` were the worker's last word, at `seen_at`.
# A row in `crashes` is a holder that was lost: `tokens` and `seconds` are what is known of the calls that went with it,
# the other two what they can have come to at most.
TABLES = """
ALTER TABLE reservations
    ADD received_tokens BIGINT DEFAULT 0 NOT NULL,
    ADD begun_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    ADD seen_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL;

CREATE TABLE crashes (
    job_id BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    worker TEXT NOT NULL,
    why TEXT NOT NULL,
    calls INTEGER NOT NULL,
    tokens BIGINT NOT NULL,
    tokens_at_most BIGINT NOT NULL,
    seconds DOUBLE PRECISION NOT NULL,
    seconds_at_most DOUBLE PRECISION NOT NULL,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (job_id, epoch),
    FOREIGN KEY(job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
ALTER TABLE crashes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON crashes
    USING (EXISTS (SELECT 1 FROM jobs j WHERE j.id = job_id AND j.owner = SESSION_USER));
GRANT SELECT ON crashes TO redraft_reader, redraft_submitter;
GRANT SELECT, INSERT, UPDATE, DELETE ON crashes TO redraft_worker;
"""

# With the rights of who asks, so that row-level security holds here as in the view.
BILL = """
CREATE FUNCTION redraft_crash_bill(job bigint) RETURNS jsonb LANGUAGE sql STABLE
SET search_path = pg_catalog, public AS $$
    SELECT jsonb_build_object(
        'crashes', count(*), 'calls', coalesce(sum(calls), 0),
        'tokens', coalesce(sum(tokens), 0), 'tokens_at_most', coalesce(sum(tokens_at_most), 0),
        'seconds', coalesce(sum(seconds), 0), 'seconds_at_most', coalesce(sum(seconds_at_most), 0),
        'why', coalesce((array_agg(why ORDER BY epoch DESC))[1], ''))
    FROM crashes WHERE job_id = job
$$;
"""
COLUMN = "redraft_crash_bill(j.id) AS crash_bill"


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(BILL)
    _redefine("CREATE OR REPLACE VIEW", rf"regexp_replace(%s, '\n\s+FROM ', E',\n    {COLUMN}\n FROM ')")


def downgrade() -> None:
    _redefine("DROP VIEW job_summary; CREATE VIEW", r"regexp_replace(%s, ',\s+redraft_crash_bill\(j\.id\) AS \w+', '')")
    op.execute("GRANT SELECT ON job_summary TO redraft_reader, redraft_submitter")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON job_summary TO redraft_worker")
    op.execute("DROP FUNCTION redraft_crash_bill(bigint)")
    op.execute("DROP TABLE crashes")
    op.execute("ALTER TABLE reservations DROP received_tokens, DROP begun_at, DROP seen_at")


def _redefine(verb: str, change: str) -> None:
    """The view as it stands but for `change`: which columns the revisions before gave it is theirs to know."""
    definition = change % "pg_get_viewdef('job_summary'::regclass)"
    op.execute(f"""DO $do$ BEGIN
        EXECUTE (SELECT '{verb} job_summary WITH (security_invoker = true) AS ' || {definition});
        END $do$""")
