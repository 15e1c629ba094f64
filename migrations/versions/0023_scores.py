"""What a check of kind score measured, how it ranks the candidates, and the end of a job whose score stands still."""

from __future__ import annotations

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE verdicts ADD value DOUBLE PRECISION, ADD metrics JSONB DEFAULT '{}' NOT NULL;
-- Of the deciding score: its value, and the same with a sign by which the greater is the better.
ALTER TABLE candidates ADD value DOUBLE PRECISION, ADD fitness DOUBLE PRECISION;
ALTER TABLE iterations ADD improved BOOLEAN DEFAULT false NOT NULL;
ALTER TABLE jobs ADD value DOUBLE PRECISION, ADD stop_value DOUBLE PRECISION, ADD stop_ended_by TEXT;
"""
CODES = ("'impossible'::text", "'impossible'::text, 'plateau'::text")
FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
PARTS = [
    (
        "ORDER BY k.score DESC, i.number LIMIT 1",
        "ORDER BY CASE WHEN k.fitness IS NOT NULL THEN i.improved::integer * i.number END DESC NULLS LAST,\n"
        "            k.score DESC, i.number LIMIT 1",
    ),
    ("iterations, score, answer,", "iterations, score, value, answer,"),
    ("best.score, best.text", "best.score, best.value, best.text"),
    ("best_slot, score, worker", "best_slot, score, improved, worker"),
    ("score, accepted, checked", "score, value, fitness, accepted, checked"),
    ("passed, score, isolation", "passed, score, value, metrics, isolation"),
]
VIEWS = {
    "job_summary": ("j.value", "j.stop_value", "j.stop_ended_by"),
    "iteration_history": ("k.value", "i.improved"),
    "verdict_history": ("v.value", "v.metrics"),
}


def upgrade() -> None:
    op.execute(COLUMNS)
    _redefine_codes(*CODES)
    _replace(PARTS)
    for view, columns in VIEWS.items():
        more = "".join(rf",\n    {column}" for column in columns)
        _redefine(view, "CREATE OR REPLACE VIEW", rf"regexp_replace(%s, '\n\s+FROM ', E'{more}\n FROM ')")


def downgrade() -> None:
    for view, columns in VIEWS.items():
        # The definition of a view of one table names its columns without the table.
        listed = "".join(rf",\s+({column[0]}[.])?{column[2:]}" for column in columns)
        _redefine(view, f"DROP VIEW {view}; CREATE VIEW", rf"regexp_replace(%s, '{listed}\M', '')")
        op.execute(f"GRANT SELECT ON {view} TO redraft_reader, redraft_submitter")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {view} TO redraft_worker")
    _replace([(after, before) for before, after in PARTS])
    for table in ("jobs", "iterations"):
        op.execute(f"UPDATE {table} SET stop_code = 'no_gain' WHERE stop_code = 'plateau'")
    _redefine_codes(*reversed(CODES))
    op.execute("""ALTER TABLE jobs DROP value, DROP stop_value, DROP stop_ended_by;
                  ALTER TABLE iterations DROP improved;
                  ALTER TABLE candidates DROP value, DROP fitness;
                  ALTER TABLE verdicts DROP value, DROP metrics""")


def _redefine_codes(before: str, after: str) -> None:
    op.execute(f"""DO $do$ DECLARE
        rule text := pg_get_constraintdef(oid) FROM pg_constraint
            WHERE conname = 'jobs_stop_code' AND conrelid = 'public.jobs'::regclass;
    BEGIN
        ALTER TABLE public.jobs DROP CONSTRAINT jobs_stop_code;
        EXECUTE 'ALTER TABLE public.jobs ADD CONSTRAINT jobs_stop_code '
            || replace(rule, $text${before}$text$, $text${after}$text$);
    END $do$""")


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
