"""Why a job ended, as columns for programs: a code, its numbers and a detail; `reason` stays the text for people. What
was read out of that text or of a decision's until now is a column, too. Older rows are read once more, here, and never
again."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

CODES = (
    "accepted", "budget_iterations", "budget_hours", "budget_tokens", "budget_usd", "context", "draft_rejected",
    "cloud_rejected", "gave_up", "cancelled", "crashes", "service_faults", "missing_plugin", "defect", "malformed",
    "attachment_lost", "journal_mismatch",
)  # fmt: skip
COLUMNS = f"""
ALTER TABLE jobs
    ADD stop_code TEXT CONSTRAINT jobs_stop_code CHECK (stop_code IN {CODES}),
    ADD stop_used DOUBLE PRECISION,
    ADD stop_limit DOUBLE PRECISION,
    ADD stop_needed DOUBLE PRECISION,
    ADD stop_detail TEXT DEFAULT '' NOT NULL,
    ADD lesson_stop_code TEXT; -- why the lesson that an ended job owed was given up
-- What a recorded iteration decided: the next one's operator, or the end.
ALTER TABLE iterations ADD next_operator TEXT, ADD stop_code TEXT;
"""

# What releases before this one wrote, as a code; {text} is the reason, {state} the final state.
_CODE = """CASE
    WHEN {state} = 'accepted' THEN 'accepted'
    WHEN {state} = 'cancelled' THEN 'cancelled'
    WHEN {state} = 'quarantined' THEN 'crashes'
    WHEN {text} ~ '^the budget of \\S+ (iterations|hours|tokens|usd) is spent'
        THEN 'budget_' || substring({text} FROM '^the budget of \\S+ (\\w+) is spent')
    WHEN {text} ~ '^the shortest prompt has' THEN 'context'
    WHEN {text} = 'its one draft was not accepted' THEN 'draft_rejected'
    WHEN {text} LIKE 'the cloud model''s answer was rejected%' THEN 'cloud_rejected'
    WHEN {state} = 'unsolved' THEN 'gave_up'
    WHEN {text} ~ '^\\d+ faults in a row' THEN 'service_faults'
    WHEN {text} LIKE '%the journal holds an answer to prompt%' THEN 'journal_mismatch'
    WHEN {text} ~ '^(the )?attachment ' THEN 'attachment_lost'
    ELSE 'malformed' END"""
_NUMBER = r"(\d+(\.\d+)?(e\+\d+)?)"
_FINAL = "('accepted', 'unsolved', 'cancelled', 'quarantined', 'failed')"
_DECIDED = _CODE.format(
    state="substring(decision FROM '^stop \\((\\w+)\\)')",
    text="coalesce(substring(decision FROM '^stop \\(\\w+\\): (.*)$'), '')",
)
_GIVEN_UP = _CODE.format(state="''", text="e.detail")
_ENDED = _CODE.format(state="state", text="reason")
BACKFILL = rf"""
UPDATE jobs SET
    stop_code = {_ENDED},
    stop_used = coalesce(substring(reason FROM '^the budget of \S+ \w+ is spent \({_NUMBER} used\)$'),
                         substring(reason FROM '^its worker died (\d+) times in a row'),
                         substring(reason FROM '^(\d+) faults in a row'),
                         substring(reason FROM '^the shortest prompt has (\d+) tokens'))::double precision,
    stop_limit = coalesce(substring(reason FROM '^the budget of {_NUMBER} \w+ is spent'),
                          substring(reason FROM '^the shortest prompt .* has room for (\d+)$'))::double precision,
    stop_detail = CASE WHEN state = 'accepted' THEN coalesce(substring(reason FROM '^candidate (\S+) passed'), '')
        WHEN state = 'quarantined' THEN coalesce(substring(reason FROM '; last on (.*)$'), '')
        WHEN reason ~ '^\d+ faults in a row' THEN coalesce(substring(reason FROM ', the last: (.*)$'), '')
        WHEN state = 'cancelled' OR reason ~ '^the budget of \S+ \w+ is spent|^the shortest prompt has|^its one draft'
            OR reason LIKE 'the cloud model''s answer was rejected%' THEN '' ELSE reason END
    WHERE state IN {_FINAL};
UPDATE jobs SET lesson_stop_code = (SELECT {_GIVEN_UP} FROM events e
    WHERE e.job_id = jobs.id AND e.kind = 'no lesson' ORDER BY e.id DESC LIMIT 1)
    WHERE id IN (SELECT job_id FROM events WHERE kind = 'no lesson');
UPDATE iterations SET
    next_operator = CASE WHEN decision NOT LIKE 'stop %' THEN split_part(decision, ' ', 1) END,
    stop_code = CASE WHEN decision LIKE 'stop %' THEN {_DECIDED} END
    WHERE finished_at IS NOT NULL AND decision <> '';
"""

CANCEL = "redraft_cancel(bigint)"
RETRY = "redraft_retry(bigint, numeric, double precision, integer, bigint)"
FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
# Of each function: parts as they were, and as they are.
CHANGES = {
    CANCEL: [("reason = 'cancelled by its owner', ", "reason = 'cancelled by its owner', stop_code = 'cancelled', ")],
    RETRY: [
        ("    unit record;\n    named text;\n", "    unit record;\n"),
        (
            "    named := substring(old.reason FROM 'the budget of \\S+ (\\w+) is spent');\n    FOR unit",
            "    FOR unit",
        ),
        ("unit.name = named", "'budget_' || unit.name = old.stop_code"),
        (
            "format('that is spent; give more:",
            "format(CASE WHEN coalesce(unit.used >= coalesce(unit.given, unit.has), true) THEN 'that is spent'\n"
            "                                   ELSE 'the next call does not fit' END || '; give more:",
        ),
        (
            "reason = '', crashes",
            "reason = '', stop_code = NULL, stop_used = NULL, stop_limit = NULL, stop_needed = NULL, stop_detail = '', "
            "lesson_stop_code = NULL, crashes",
        ),
    ],
    FORK: [("move, decision, best_slot", "move, decision, next_operator, stop_code, best_slot")],
}
VIEWS = {
    "job_summary": ("j.stop_code", "j.stop_used", "j.stop_limit", "j.stop_needed"),
    "iteration_history": ("i.stop_code",),
}


def upgrade() -> None:
    op.execute(COLUMNS)
    _past_limits_that_bind_new_rows_only(BACKFILL)
    for function, parts in CHANGES.items():
        _replace(function, parts)
    for view, columns in VIEWS.items():
        more = "".join(rf",\n    {column}" for column in columns)
        _redefine(view, "CREATE OR REPLACE VIEW", rf"regexp_replace(%s, '\n\s+FROM ', E'{more}\n FROM ')")


def downgrade() -> None:
    for view, columns in VIEWS.items():
        change = "%s"
        for column in columns:
            change = rf"regexp_replace({change}, ',\s+{column.replace('.', '[.]')}\M', '')"
        _redefine(view, f"DROP VIEW {view}; CREATE VIEW", change)
        op.execute(f"GRANT SELECT ON {view} TO redraft_reader, redraft_submitter")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {view} TO redraft_worker")
    for function, parts in CHANGES.items():
        _replace(function, [(after, before) for before, after in parts])
    op.execute("ALTER TABLE iterations DROP next_operator, DROP stop_code")
    op.execute("""ALTER TABLE jobs DROP stop_code, DROP stop_used, DROP stop_limit, DROP stop_needed, DROP stop_detail,
                  DROP lesson_stop_code""")


def _past_limits_that_bind_new_rows_only(statements: str) -> None:
    """A row that was there before the limits of 0011 may break one, and must not be written to while it holds."""
    limits = "pg_constraint WHERE conrelid = 'jobs'::regclass AND contype = 'c' AND NOT convalidated"
    op.execute(f"""DO $do$ DECLARE
        dropped text[] := ARRAY(SELECT format('ALTER TABLE jobs DROP CONSTRAINT %I', conname) FROM {limits});
        added text[] := ARRAY(SELECT format('ALTER TABLE jobs ADD CONSTRAINT %I %s', conname, pg_get_constraintdef(oid))
                              FROM {limits});
        one text;
    BEGIN
        FOREACH one IN ARRAY dropped LOOP
            EXECUTE one;
        END LOOP;
        {statements}
        FOREACH one IN ARRAY added LOOP
            EXECUTE one;
        END LOOP;
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


def _redefine(view: str, verb: str, change: str) -> None:
    definition = change % f"pg_get_viewdef('{view}'::regclass)"
    op.execute(f"""DO $do$ BEGIN
        EXECUTE (SELECT '{verb} {view} WITH (security_invoker = true) AS ' || {definition});
        END $do$""")
