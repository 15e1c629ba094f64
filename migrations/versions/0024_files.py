"""The files that a job is about: what an answer may change of them, and their texts. Empty where it names none."""

from __future__ import annotations

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
PARTS = [
    ("attachments, cut,\n", "attachments, cut, files,\n"),
    ("source.cut, job, upto, upto,\n", "source.cut, source.files, job, upto, upto,\n"),
]


def upgrade() -> None:
    op.execute("""
        ALTER TABLE jobs ADD files JSONB DEFAULT '{}' NOT NULL
            CONSTRAINT jobs_files CHECK (jsonb_typeof(files) = 'object' AND pg_column_size(files) <= 32000000);
        GRANT INSERT (files) ON jobs TO redraft_submitter;
    """)
    _replace(PARTS)


def downgrade() -> None:
    _replace([(after, before) for before, after in PARTS])
    op.execute("ALTER TABLE jobs DROP files")


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
