"""The end of what each call is writing now, for its job's owner to watch. Unlogged: it is no state of a job, and after
a crash of Postgres it is empty."""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE UNLOGGED TABLE live_text (
            job_id BIGINT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
            epoch BIGINT NOT NULL,
            iteration INTEGER NOT NULL,
            operator TEXT NOT NULL,
            slot INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            step TEXT DEFAULT '' NOT NULL,
            check_name TEXT DEFAULT '' NOT NULL,
            vote INTEGER DEFAULT 0 NOT NULL,
            text TEXT NOT NULL,
            thoughts TEXT NOT NULL,
            chars BIGINT NOT NULL,
            thought_chars BIGINT NOT NULL,
            tokens BIGINT NOT NULL,
            seen_at TIMESTAMPTZ DEFAULT now() NOT NULL,
            PRIMARY KEY (job_id, epoch, iteration, operator, slot, attempt, step, check_name, vote),
            CONSTRAINT live_text_short CHECK (length(text) <= 4000 AND length(thoughts) <= 4000)
        );
        ALTER TABLE live_text ENABLE ROW LEVEL SECURITY;
        ALTER TABLE live_text FORCE ROW LEVEL SECURITY;
        CREATE POLICY own ON live_text
            USING (EXISTS (SELECT 1 FROM jobs j WHERE j.id = live_text.job_id AND j.owner = SESSION_USER));
        GRANT SELECT ON live_text TO redraft_reader, redraft_submitter;
        GRANT SELECT, INSERT, UPDATE, DELETE ON live_text TO redraft_worker;
        -- What was done over a night is added up from these alone, not from rows that hold texts.
        CREATE INDEX verdicts_created ON verdicts (created_at) INCLUDE (job_id, kind, seconds);
        DROP INDEX calls_created;
        CREATE INDEX calls_created ON calls (created_at) INCLUDE (job_id, completion_tokens, usd, seconds);
    """)


def downgrade() -> None:
    op.execute("""
        DROP INDEX verdicts_created;
        DROP INDEX calls_created;
        CREATE INDEX calls_created ON calls (created_at);
        DROP TABLE live_text;
    """)
