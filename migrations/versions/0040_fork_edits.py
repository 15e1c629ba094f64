"""A fork has the changes of its job's checks and title that wait there for the next iteration."""

from __future__ import annotations

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
BEFORE = "    -- The copied work keeps its epochs, so those that the fork gives out go on from there."
COPIED = f"""\
    -- Changes that no iteration has seen wait for the fork's next one, too.
    INSERT INTO public.edits (job_id, given_by, created_at, before, after, iterations, title, checks, checks_before,
                              waits)
        SELECT made, given_by, created_at, before, after, least(iterations, upto), title, checks, checks_before, waits
        FROM public.edits e WHERE e.job_id = job AND e.waits ORDER BY id;
{BEFORE}"""


def upgrade() -> None:
    _redefine(BEFORE, COPIED)


def downgrade() -> None:
    _redefine(COPIED, BEFORE)


def _redefine(before: str, after: str) -> None:
    op.execute(f"""DO $do$ DECLARE
        body text := pg_get_functiondef('public.{FORK}'::regprocedure);
    BEGIN
        IF position($text${before}$text$ IN body) = 0 THEN
            RAISE EXCEPTION '% is not the one that this migration changes', '{FORK}';
        END IF;
        EXECUTE replace(body, $text${before}$text$, $text${after}$text$);
    END $do$""")
