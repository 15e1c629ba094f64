"""Which net of the guard saw that a candidate repeats itself, where it was let through for the checks to decide."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
PARTS = [
    ("parent_iteration, parent_slot, guard, score,", "parent_iteration, parent_slot, guard, let_through, score,"),
    ("               parent_slot, guard, score,", "               parent_slot, guard, let_through, score,"),
]
VIEW = "iteration_history"


def upgrade() -> None:
    op.execute("ALTER TABLE candidates ADD let_through TEXT")
    _replace(PARTS)
    _redefine("CREATE OR REPLACE VIEW", r"regexp_replace(%s, '\n\s+FROM ', E',\n    k.let_through\n FROM ')")


def downgrade() -> None:
    _redefine(f"DROP VIEW {VIEW}; CREATE VIEW", r"regexp_replace(%s, ',\s+(k[.])?let_through\M', '')")
    op.execute(f"GRANT SELECT ON {VIEW} TO redraft_reader, redraft_submitter")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {VIEW} TO redraft_worker")
    _replace([(after, before) for before, after in PARTS])
    op.execute("ALTER TABLE candidates DROP let_through")


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


def _redefine(verb: str, change: str) -> None:
    definition = change % f"pg_get_viewdef('{VIEW}'::regclass)"
    op.execute(f"""DO $do$ BEGIN
        EXECUTE (SELECT '{verb} {VIEW} WITH (security_invoker = true) AS ' || {definition});
        END $do$""")
