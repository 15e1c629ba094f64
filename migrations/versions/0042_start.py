"""An answer of the owner's that a job begins with."""

from __future__ import annotations

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
PARTS = [
    ("ask_hours, temperature, checks_since,\n", "ask_hours, temperature, start, checks_since,\n"),
    ("source.temperature, least(source.checks_since", "source.temperature, source.start, least(source.checks_since"),
]


def upgrade() -> None:
    op.execute(
        "ALTER TABLE jobs ADD start TEXT DEFAULT '' NOT NULL CONSTRAINT jobs_start CHECK (length(start) <= 200000);"
        " GRANT INSERT (start) ON jobs TO redraft_submitter"
    )
    for before, after in PARTS:
        _replace(before, after)


def downgrade() -> None:
    for before, after in PARTS:
        _replace(after, before)
    op.execute("ALTER TABLE jobs DROP start")


def _replace(before: str, after: str) -> None:
    op.execute(f"""DO $do$ DECLARE
        body text := pg_get_functiondef('public.{FORK}'::regprocedure);
    BEGIN
        IF position($text${before}$text$ IN body) = 0 THEN
            RAISE EXCEPTION 'redraft_fork is not the one that this migration changes';
        END IF;
        EXECUTE replace(body, $text${before}$text$, $text${after}$text$);
    END $do$""")
