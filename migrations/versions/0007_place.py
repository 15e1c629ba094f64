"""A job's place among its owner's that wait, as a column with indexes: a claim reads a few rows of a long queue."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# The lower, the sooner: one point of priority is worth half an hour of waiting, as AGEING_SECONDS of leases.py says,
# and an interruption more points than a priority and a lifetime of waiting can add up to.
PLACE = """
ALTER TABLE leases ADD place DOUBLE PRECISION NOT NULL GENERATED ALWAYS AS (
    extract(epoch FROM waiting_since - TIMESTAMPTZ '1970-01-01 00:00:00+00') / 1800.0 - priority
    - CASE WHEN interrupted THEN 1000000 ELSE 0 END) STORED;
CREATE INDEX leases_place ON leases (lane, owner, place) WHERE runnable AND worker IS NULL;
CREATE INDEX leases_turn ON leases (lane, owner, job_id) WHERE runnable AND worker IS NULL;
CREATE INDEX leases_own ON leases (last_worker, job_id) WHERE runnable AND worker IS NULL;
"""


def upgrade() -> None:
    op.execute(PLACE)


def downgrade() -> None:
    op.execute("ALTER TABLE leases DROP place")
    op.execute("DROP INDEX leases_turn, leases_own")
