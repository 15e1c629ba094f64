"""When a lease's holder last made progress, so that one that only lives loses it."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE leases ADD progress_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE leases DROP progress_at")
