"""What a candidate does, as a digest, and the inputs that it was found with: where passing the checks is no proof, the
answer is chosen by them. A job may have accepted candidates and go on, so a fork is refused only where the job ended.
"""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
PARTS = [
    (
        """SELECT min(k.iteration) INTO winner FROM public.candidates k
        WHERE k.job_id = job AND k.iteration <= upto AND k.accepted;""",
        """SELECT min(i.number) INTO winner FROM public.iterations i
        WHERE i.job_id = job AND i.number <= upto AND i.stop_code = 'accepted';""",
    ),
    (
        "guard, let_through, score, accepted, checked, created_at)\n        SELECT",
        "guard, let_through, score, accepted, checked, behaviour, created_at)\n        SELECT",
    ),
    (
        "guard, let_through, score, accepted, checked, created_at\n        FROM",
        "guard, let_through, score, accepted, checked, behaviour, created_at\n        FROM",
    ),
    (
        "worker, epoch, started_at,\n                            finished_at)",
        "worker, epoch, started_at, finished_at, inputs)",
    ),
    (
        "worker, epoch, started_at, finished_at\n        FROM",
        "worker, epoch, started_at, finished_at, inputs\n        FROM",
    ),
]
VIEW = "iteration_history"


def upgrade() -> None:
    op.execute("ALTER TABLE candidates ADD behaviour TEXT")
    op.execute("ALTER TABLE iterations ADD inputs TEXT[]")
    _replace(PARTS)
    _redefine(
        "CREATE OR REPLACE VIEW", r"regexp_replace(%s, '\n\s+FROM ', E',\n    k.behaviour,\n    i.inputs\n FROM ')"
    )


def downgrade() -> None:
    _redefine(f"DROP VIEW {VIEW}; CREATE VIEW", r"regexp_replace(%s, ',\s+k[.]behaviour,\s+i[.]inputs\M', '')")
    op.execute(f"GRANT SELECT ON {VIEW} TO redraft_reader, redraft_submitter")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {VIEW} TO redraft_worker")
    _replace([(after, before) for before, after in PARTS])
    op.execute("ALTER TABLE iterations DROP inputs")
    op.execute("ALTER TABLE candidates DROP behaviour")


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
