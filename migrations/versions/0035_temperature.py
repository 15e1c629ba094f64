"""The temperature of a job's answers, where it names one: so that jobs which differ in it alone can be compared."""

from __future__ import annotations

from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
PARTS = [
    ("files, ask, ask_hours,\n", "files, ask, ask_hours, temperature,\n"),
    ("source.ask, source.ask_hours, job,", "source.ask, source.ask_hours, source.temperature, job,"),
]


def upgrade() -> None:
    op.execute(
        "ALTER TABLE jobs ADD temperature DOUBLE PRECISION"
        " CONSTRAINT jobs_temperature CHECK (temperature >= 0 AND temperature <= 2);"
        " GRANT INSERT (temperature) ON jobs TO redraft_submitter"
    )
    for before, after in PARTS:
        _replace(before, after)


def downgrade() -> None:
    for before, after in PARTS:
        _replace(after, before)
    op.execute("ALTER TABLE jobs DROP temperature")


def _replace(before: str, after: str) -> None:
    op.execute(f"""DO $do$ DECLARE
        body text := pg_get_functiondef('public.{FORK}'::regprocedure);
    BEGIN
        IF position($text${before}$text$ IN body) = 0 THEN
            RAISE EXCEPTION 'redraft_fork is not the one that this migration changes';
        END IF;
        EXECUTE replace(body, $text${before}$text$, $text${after}$text$);
    END $do$""")
