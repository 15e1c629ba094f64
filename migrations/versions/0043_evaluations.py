"""A budget of evaluations: how many candidates of a job its checks run on at most."""

from __future__ import annotations

from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

NEW = "budget_evaluations"
CODES = ("'budget_gpu_seconds'::text", f"'budget_gpu_seconds'::text, '{NEW}'::text")
FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
RETRY = "redraft_retry(bigint, numeric, double precision, integer, bigint)"
CHANGES = {
    FORK: [
        ("budget_gpu_seconds, memory,", f"budget_gpu_seconds, {NEW}, memory,"),
        ("source.budget_gpu_seconds,\n", f"source.budget_gpu_seconds, source.{NEW},\n"),
    ],
    RETRY: [("'budget_gpu_seconds')", f"'budget_gpu_seconds', '{NEW}')")],
}


def upgrade() -> None:
    op.execute(f"""
        ALTER TABLE jobs ADD {NEW} BIGINT CONSTRAINT jobs_evaluations CHECK ({NEW} BETWEEN 1 AND 1000000000000);
        GRANT INSERT ({NEW}) ON jobs TO redraft_submitter;
    """)
    _redefine_codes(*CODES)
    for function, parts in CHANGES.items():
        _replace(function, parts)


def downgrade() -> None:
    for function, parts in CHANGES.items():
        _replace(function, [(after, before) for before, after in parts])
    op.execute(f"UPDATE jobs SET stop_code = 'budget_iterations' WHERE stop_code = '{NEW}'")
    _redefine_codes(*reversed(CODES))
    op.execute(f"ALTER TABLE jobs DROP {NEW}")


def _redefine_codes(before: str, after: str) -> None:
    op.execute(f"""DO $do$ DECLARE
        rule text := pg_get_constraintdef(oid) FROM pg_constraint
            WHERE conname = 'jobs_stop_code' AND conrelid = 'public.jobs'::regclass;
    BEGIN
        ALTER TABLE public.jobs DROP CONSTRAINT jobs_stop_code;
        EXECUTE 'ALTER TABLE public.jobs ADD CONSTRAINT jobs_stop_code '
            || replace(rule, $text${before}$text$, $text${after}$text$);
    END $do$""")


def _replace(function: str, parts: list[tuple[str, str]]) -> None:
    steps = "".join(
        f"""
        IF position($text${before}$text$ IN body) = 0 THEN
            RAISE EXCEPTION '% is not the one that this migration changes', '{function}';
        END IF;
        body := replace(body, $text${before}$text$, $text${after}$text$);"""
        for before, after in parts
    )
    op.execute(f"""DO $do$ DECLARE
        body text := pg_get_functiondef('public.{function}'::regprocedure);
    BEGIN{steps}
        EXECUTE body;
    END $do$""")
