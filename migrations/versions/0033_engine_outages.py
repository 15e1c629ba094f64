"""What a worker says of its engine: why it does not answer, since when, and which lanes are closed for it."""

from __future__ import annotations

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE workers ADD closed_lanes TEXT[] DEFAULT '{}' NOT NULL, ADD engine_fault TEXT DEFAULT '' NOT NULL,
                            ADD engine_fault_at TIMESTAMPTZ, ADD engine_restarted_at TIMESTAMPTZ;
    """)


def downgrade() -> None:
    op.execute("""
        ALTER TABLE workers DROP closed_lanes, DROP engine_fault, DROP engine_fault_at, DROP engine_restarted_at;
    """)
