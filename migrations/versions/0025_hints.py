"""The advice that an escalation brought, which the prompts of a job's later iterations carry, a fork's too."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
PARTS = [
    ("started_at, finished_at, inputs)", "started_at, finished_at, inputs, hint)"),
    ("started_at, finished_at, inputs\n", "started_at, finished_at, inputs, hint\n"),
]
VIEW = "iteration_history"


def upgrade() -> None:
    op.execute("ALTER TABLE iterations ADD hint TEXT DEFAULT '' NOT NULL")
    _replace(PARTS)
    _redefine(VIEW, "CREATE OR REPLACE VIEW", r"regexp_replace(%s, '\n\s+FROM ', E',\n    i.hint\n FROM ')")


def downgrade() -> None:
    _redefine(VIEW, f"DROP VIEW {VIEW}; CREATE VIEW", r"regexp_replace(%s, ',\s+i[.]hint\M', '')")
    op.execute(f"GRANT SELECT ON {VIEW} TO redraft_reader, redraft_submitter")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {VIEW} TO redraft_worker")
    _replace([(after, before) for before, after in PARTS])
    op.execute("ALTER TABLE iterations DROP hint")


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


def _redefine(view: str, verb: str, change: str) -> None:
    definition = change % f"pg_get_viewdef('{view}'::regclass)"
    op.execute(f"""DO $do$ BEGIN
        EXECUTE (SELECT '{verb} {view} WITH (security_invoker = true) AS ' || {definition});
        END $do$""")
