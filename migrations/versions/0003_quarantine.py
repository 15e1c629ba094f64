"""A person takes a lesson of theirs out of the memory: a function, for rows of `lessons` and `outbox` are workers'."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The moment of the quarantine, the first one where it was quarantined before; NULL where there is no such lesson.
FUNCTION = """
CREATE FUNCTION redraft_quarantine(lesson bigint) RETURNS timestamptz LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
DECLARE
    source bigint;
    since timestamptz;
BEGIN
    SELECT job_id, quarantined_at INTO source, since FROM lessons WHERE id = lesson AND (
        owner = SESSION_USER OR EXISTS (
            SELECT 1 FROM pg_roles WHERE rolname = SESSION_USER AND (rolsuper OR rolbypassrls))) FOR UPDATE;
    IF source IS NULL OR since IS NOT NULL THEN
        RETURN since;
    END IF;
    UPDATE lessons SET quarantined_at = now() WHERE id = lesson;
    INSERT INTO outbox (job_id, topic, payload)
    VALUES (source, 'memory.remove', jsonb_build_object('lesson', lesson));
    INSERT INTO events (job_id, kind, detail) VALUES (source, 'lesson quarantined', lesson::text);
    RETURN now();
END $$;
"""


def upgrade() -> None:
    op.execute(FUNCTION)
    op.execute("REVOKE ALL ON FUNCTION redraft_quarantine(bigint) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION redraft_quarantine(bigint) TO redraft_submitter, redraft_worker")


def downgrade() -> None:
    op.execute("DROP FUNCTION redraft_quarantine(bigint)")
