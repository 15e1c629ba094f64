"""A job's place among its owner's that wait, as a column with indexes: a claim reads a few rows of a long queue."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# The lower, the sooner: one point of priority is worth half an hour of waiting, as AGEING_SECONDS of leases.py says.
PLACE = """
ALTER TABLE leases ADD place DOUBLE PRECISION NOT NULL GENERATED ALWAYS AS (
    extract(epoch FROM waiting_since - TIMESTAMPTZ '1970-01-01 00:00:00+00') / 1800.0 - priority) STORED;
CREATE INDEX leases_interrupted ON leases (lane) WHERE interrupted AND runnable AND worker IS NULL;
CREATE INDEX leases_priority ON leases (lane, priority) WHERE runnable AND worker IS NULL;
CREATE INDEX leases_place ON leases (lane, owner, place) WHERE runnable AND worker IS NULL;
CREATE INDEX leases_turn ON leases (lane, owner, job_id) WHERE runnable AND worker IS NULL;
CREATE INDEX leases_own ON leases (last_worker, job_id) WHERE runnable AND worker IS NULL;
DROP INDEX leases_runnable;
"""


def upgrade() -> None:
    op.execute(PLACE)


def downgrade() -> None:
    op.execute("CREATE INDEX leases_runnable ON leases (lane, run_at) WHERE runnable AND worker IS NULL")
    op.execute("DROP INDEX leases_interrupted, leases_priority, leases_turn, leases_own")
    op.execute("ALTER TABLE leases DROP place")
