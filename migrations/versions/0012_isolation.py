"""A verdict says whether the candidate shared its process with the tests that judged it."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
COPIED = ("passed, score, feedback", "passed, score, isolation, feedback")
GRANTS = (
    "GRANT SELECT ON verdict_history TO redraft_reader, redraft_submitter",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON verdict_history TO redraft_worker",
)


def upgrade() -> None:
    # Empty for the kinds of checks that run no candidate, and for verdicts of earlier releases.
    op.execute("ALTER TABLE verdicts ADD isolation TEXT DEFAULT '' NOT NULL")
    _redefine_view("CREATE OR REPLACE VIEW", r"regexp_replace(%s, '\n\s+FROM ', E',\n    v.isolation\n FROM ')")
    _redefine_fork(*COPIED)


def downgrade() -> None:
    _redefine_fork(*reversed(COPIED))
    _redefine_view("DROP VIEW verdict_history; CREATE VIEW", r"regexp_replace(%s, ',\s+v?\.?isolation', '')")
    for grant in GRANTS:
        op.execute(grant)
    op.execute("ALTER TABLE verdicts DROP isolation")


def _redefine_view(verb: str, change: str) -> None:
    definition = change % "pg_get_viewdef('verdict_history'::regclass)"
    op.execute(f"""DO $do$ BEGIN
        EXECUTE (SELECT '{verb} verdict_history WITH (security_invoker = true) AS ' || {definition});
        END $do$""")


def _redefine_fork(old: str, new: str) -> None:
    op.execute(f"""DO $do$ DECLARE
        before text := pg_get_functiondef('public.{FORK}'::regprocedure);
        after text := replace(before, '{old}', '{new}');
    BEGIN
        IF after = before THEN
            RAISE EXCEPTION '% is not the one that this migration changes', '{FORK}';
        END IF;
        EXECUTE after;
    END $do$""")
