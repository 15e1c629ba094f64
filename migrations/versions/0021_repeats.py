"""Which candidate is a rejected one again, what a review found impossible, and the ends that follow from either."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
COLUMNS = "repeats_iteration, repeats_slot, objection"
PARTS = [
    ("behaviour, created_at)\n        SELECT", f"behaviour, {COLUMNS}, created_at)\n        SELECT"),
    ("behaviour, created_at\n        FROM", f"behaviour, {COLUMNS}, created_at\n        FROM"),
]
CODES = (
    "accepted", "budget_iterations", "budget_hours", "budget_tokens", "budget_usd", "context", "draft_rejected",
    "cloud_rejected", "gave_up", "cancelled", "crashes", "service_faults", "missing_plugin", "defect", "malformed",
    "attachment_lost", "journal_mismatch", "budget_completion_tokens",
)  # fmt: skip
NEW_CODES = ("no_gain", "impossible")


def upgrade() -> None:
    op.execute(
        "ALTER TABLE candidates ADD repeats_iteration INTEGER, ADD repeats_slot INTEGER, "
        "ADD objection TEXT DEFAULT '' NOT NULL"
    )
    _replace(PARTS)
    _allow((*CODES, *NEW_CODES))


def downgrade() -> None:
    op.execute(f"UPDATE jobs SET stop_code = 'gave_up' WHERE stop_code IN {NEW_CODES}")
    op.execute(f"UPDATE iterations SET stop_code = 'gave_up' WHERE stop_code IN {NEW_CODES}")
    _allow(CODES)
    _replace([(after, before) for before, after in PARTS])
    op.execute("ALTER TABLE candidates DROP repeats_iteration, DROP repeats_slot, DROP objection")


def _allow(codes: tuple[str, ...]) -> None:
    check = f"ADD CONSTRAINT jobs_stop_code CHECK (stop_code IN {codes})"
    op.execute(f"ALTER TABLE jobs DROP CONSTRAINT jobs_stop_code, {check}")


def _replace(parts: list[tuple[str, str]]) -> None:
    steps = "".join(
        f"""
        IF position($text${before}$text$ IN body) = 0 THEN
            RAISE EXCEPTION '% is not the one that this migration changes', '{FORK}';
        END IF;
        body := replace(body, $text${before}$text$, $text${after}$text$);"""
        for before, after in parts
    )
    op.execute(f"""DO $do$ DECLARE
        body text := pg_get_functiondef('public.{FORK}'::regprocedure);
    BEGIN{steps}
        EXECUTE body;
    END $do$""")
