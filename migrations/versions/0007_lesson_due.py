"""A job that has ended may owe its lesson: it can be claimed for that alone, and a retry takes it from whoever has."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

COLUMN = "ALTER TABLE jobs ADD lesson_due BOOLEAN DEFAULT false NOT NULL"

RETRY = "redraft_retry(bigint, numeric, double precision, integer, bigint)"
# Of its function: an ended job could not be held, and now it can.
CHANGES = (
    ("UPDATE jobs SET state = ''queued'',", "UPDATE jobs SET state = ''queued'', lesson_due = false,"),
    (
        "UPDATE leases SET runnable = true, run_at",
        "UPDATE leases SET epoch = epoch + 1, worker = NULL, turn = NULL, lease_until = NULL, runnable = true, run_at",
    ),
)


def upgrade() -> None:
    op.execute(COLUMN)
    _redefine(CHANGES)


def downgrade() -> None:
    _redefine([(new, old) for old, new in CHANGES])
    op.execute("UPDATE leases SET runnable = false WHERE job_id IN (SELECT id FROM jobs WHERE lesson_due)")
    op.execute("ALTER TABLE jobs DROP lesson_due")


def _redefine(changes: list[tuple[str, str]] | tuple[tuple[str, str], ...]) -> None:
    for old, new in changes:
        op.execute(f"""DO $do$ DECLARE
            before text := pg_get_functiondef('{RETRY}'::regprocedure);
            after text := replace(before, '{old}', '{new}');
        BEGIN
            IF after = before THEN
                RAISE EXCEPTION '% is not the one that this migration changes', '{RETRY}';
            END IF;
            EXECUTE after;
        END $do$""")
