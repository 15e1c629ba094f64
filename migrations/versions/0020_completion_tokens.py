"""A budget of completion tokens, by which strategies are compared: no call is begun beyond it, and the last is cut to
what is left. A reservation says how many of its tokens are the answer's at most."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

CODES = (
    "accepted", "budget_iterations", "budget_hours", "budget_tokens", "budget_usd", "context", "draft_rejected",
    "cloud_rejected", "gave_up", "cancelled", "crashes", "service_faults", "missing_plugin", "defect", "malformed",
    "attachment_lost", "journal_mismatch",
)  # fmt: skip
NEW = "budget_completion_tokens"
FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
PARTS = [
    ("budget_tokens, memory, recalled,", f"budget_tokens, {NEW}, memory, recalled,"),
    (
        "coalesce(tokens, source.budget_tokens),\n",
        f"coalesce(tokens, source.budget_tokens), source.{NEW},\n",
    ),
]


def upgrade() -> None:
    op.execute(f"""
        ALTER TABLE jobs ADD {NEW} BIGINT CONSTRAINT jobs_completion_tokens CHECK ({NEW} BETWEEN 1 AND 1000000000000);
        GRANT INSERT ({NEW}) ON jobs TO redraft_submitter;
        ALTER TABLE reservations ADD completion_tokens BIGINT DEFAULT 0 NOT NULL;
    """)
    _allow((*CODES, NEW))
    _replace(PARTS)


def downgrade() -> None:
    _replace([(after, before) for before, after in PARTS])
    op.execute(f"UPDATE jobs SET stop_code = 'budget_tokens' WHERE stop_code = '{NEW}'")
    _allow(CODES)
    op.execute("ALTER TABLE reservations DROP completion_tokens")
    op.execute(f"ALTER TABLE jobs DROP {NEW}")


def _allow(codes: tuple[str, ...]) -> None:
    op.execute(f"""ALTER TABLE jobs DROP CONSTRAINT jobs_stop_code,
                   ADD CONSTRAINT jobs_stop_code CHECK (stop_code IN {codes})""")


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
