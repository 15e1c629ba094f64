"""What a job's next model must take, in its lease: a worker claims only what its model can be shown."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COLUMN = "ALTER TABLE leases ADD needs TEXT[] DEFAULT '{text}' NOT NULL"

# As in 0001, with `needs`: the first part of each attachment's media type.
SUBMITTED = """
CREATE OR REPLACE FUNCTION redraft_submitted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO leases (job_id, owner, lane, priority) VALUES (NEW.id, NEW.owner, NEW.lane, NEW.priority);
    IF NEW.attachments <> '[]' THEN
        UPDATE leases SET needs = ARRAY(
            SELECT DISTINCT split_part(a ->> 'media_type', '/', 1) FROM jsonb_array_elements(NEW.attachments) a)
        WHERE job_id = NEW.id;
    END IF;
    INSERT INTO events (job_id, kind, detail) VALUES (NEW.id, 'submitted', NEW.title);
    PERFORM pg_notify('redraft_wake', NEW.lane);
    RETURN NULL;
END $$;
"""

BEFORE = """
CREATE OR REPLACE FUNCTION redraft_submitted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO leases (job_id, owner, lane, priority) VALUES (NEW.id, NEW.owner, NEW.lane, NEW.priority);
    INSERT INTO events (job_id, kind, detail) VALUES (NEW.id, 'submitted', NEW.title);
    PERFORM pg_notify('redraft_wake', NEW.lane);
    RETURN NULL;
END $$;
"""


def upgrade() -> None:
    op.execute(COLUMN)
    op.execute(SUBMITTED)


def downgrade() -> None:
    op.execute(BEFORE)
    op.execute("ALTER TABLE leases DROP needs")
