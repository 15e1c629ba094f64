"""What calls of a job used above what was reserved for them."""

from __future__ import annotations

from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        ALTER TABLE jobs ADD over_usd NUMERIC(14, 6) DEFAULT 0 NOT NULL,
            ADD over_local_tokens BIGINT DEFAULT 0 NOT NULL, ADD over_cloud_tokens BIGINT DEFAULT 0 NOT NULL;
        UPDATE jobs j SET over_usd = e.over FROM (
            SELECT job_id, sum(greatest(0, usd - reserved_usd)) AS over FROM escalations
            WHERE finished_at IS NOT NULL GROUP BY 1) e WHERE e.job_id = j.id AND e.over > 0;
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE jobs DROP over_usd, DROP over_local_tokens, DROP over_cloud_tokens")
