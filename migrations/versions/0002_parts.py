"""Memory, attachments, escalation, pause and fork: the columns they need, and the files of jobs by content."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE jobs
    ADD pause_requested_at TIMESTAMP WITH TIME ZONE,
    ADD memory BOOLEAN DEFAULT true NOT NULL,
    ADD recalled JSONB,
    ADD attachments JSONB DEFAULT '[]' NOT NULL,
    ADD forked_from BIGINT,
    ADD forked_iteration INTEGER;
ALTER TABLE lessons
    ADD family TEXT DEFAULT '' NOT NULL,
    ADD duplicate_of BIGINT;
ALTER TABLE escalations
    ADD epoch BIGINT DEFAULT 0 NOT NULL,
    ADD error TEXT DEFAULT '' NOT NULL;
ALTER TABLE workers ADD modalities TEXT[] DEFAULT '{text}' NOT NULL;

CREATE TABLE attachments (
    owner TEXT DEFAULT SESSION_USER NOT NULL,
    sha256 TEXT NOT NULL,
    media_type TEXT NOT NULL,
    content BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (owner, sha256)
);
ALTER TABLE attachments ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON attachments USING (owner = SESSION_USER) WITH CHECK (owner = SESSION_USER);
GRANT SELECT, INSERT ON attachments TO redraft_submitter;
GRANT SELECT ON attachments TO redraft_reader;
GRANT SELECT, INSERT, UPDATE, DELETE ON attachments TO redraft_worker;
"""

UNDO = """
DROP TABLE attachments;
ALTER TABLE workers DROP modalities;
ALTER TABLE escalations DROP epoch, DROP error;
ALTER TABLE lessons DROP family, DROP duplicate_of;
ALTER TABLE jobs DROP pause_requested_at, DROP memory, DROP recalled, DROP attachments, DROP forked_from,
    DROP forked_iteration;
"""

# Columns are added at the end, as CREATE OR REPLACE VIEW allows.
ADDED = {
    "job_summary": ", j.memory, j.recalled, j.attachments, j.forked_from, j.forked_iteration",
    "memory_lessons": ", m.family, m.duplicate_of",
    "escalation_history": ", e.error",
}


def upgrade() -> None:
    op.execute(TABLES)
    for name, columns in ADDED.items():
        op.execute(f"CREATE OR REPLACE VIEW {name} WITH (security_invoker = true) AS {_with(name, columns)}")


def downgrade() -> None:
    for name in ADDED:
        op.execute(f"DROP VIEW {name}")
    op.execute(UNDO)
    for name in ADDED:
        op.execute(f"CREATE VIEW {name} WITH (security_invoker = true) AS {_with(name, '')}")
        op.execute(f"GRANT SELECT ON {name} TO redraft_reader, redraft_submitter")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO redraft_worker")


def _with(name: str, columns: str) -> str:
    return VIEWS[name].replace("\n        FROM ", f"{columns}\n        FROM ", 1)


VIEWS = {
    "job_summary": """
        SELECT j.id AS job, j.title, j.state, j.reason, j.acceptance, j.strategy, j.iterations, j.score,
               j.answer_iteration, j.owner, j.tags, j.lane, j.priority, j.egress, j.seed, j.key,
               j.spent_usd AS usd, j.local_tokens, j.cloud_tokens, j.engine_seconds,
               j.budget_usd, j.budget_hours, j.budget_iterations, j.budget_tokens, j.crashes, j.faults,
               j.submitted_at, j.started_at, j.finished_at, l.worker, l.epoch, l.phase, l.live_tokens, l.run_at,
               j.cancel_requested_at
        FROM jobs j JOIN leases l ON l.job_id = j.id""",
    "memory_lessons": """
        SELECT m.id AS lesson, m.job_id AS job, m.owner, m.kind, m.situation, m.advice, m.avoid, m.evidence,
               m.helped, m.hurt, m.seen, m.quarantined_at, m.created_at
        FROM lessons m""",
    "escalation_history": """
        SELECT e.id AS escalation, e.job_id AS job, e.iteration, e.kind, e.model, e.state, e.response_id,
               e.request, e.text, e.reserved_usd, e.usd, e.prompt_tokens, e.cached_tokens, e.completion_tokens,
               e.created_at, e.finished_at
        FROM escalations e""",
}
