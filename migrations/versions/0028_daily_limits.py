"""Budgets of an owner and of the deployment for a day, and of a job for local tokens, cloud tokens and engine time; why
a job waits; the hash of a request that left, and what was taken out of it."""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

TABLES = """
ALTER TABLE jobs
    ADD budget_local_tokens BIGINT CONSTRAINT jobs_local_tokens CHECK (budget_local_tokens BETWEEN 1 AND 1000000000000),
    ADD budget_cloud_tokens BIGINT CONSTRAINT jobs_cloud_tokens CHECK (budget_cloud_tokens BETWEEN 1 AND 1000000000000),
    ADD budget_gpu_seconds DOUBLE PRECISION
        CONSTRAINT jobs_gpu_seconds CHECK (budget_gpu_seconds > 0 AND budget_gpu_seconds <= 31536000);
GRANT INSERT (budget_local_tokens, budget_cloud_tokens, budget_gpu_seconds) ON jobs TO redraft_submitter;
ALTER TABLE reservations ADD seconds DOUBLE PRECISION DEFAULT 0 NOT NULL;
-- Why a job that nobody holds goes on only later, and until when its hours stand still.
ALTER TABLE leases ADD waits_for TEXT DEFAULT '' NOT NULL, ADD idle_until TIMESTAMPTZ;
ALTER TABLE escalations ADD request_sha256 TEXT DEFAULT '' NOT NULL, ADD redactions JSONB DEFAULT '[]' NOT NULL;
CREATE INDEX escalations_open ON escalations (job_id) WHERE finished_at IS NULL;
ALTER TABLE owner_usage ADD usd NUMERIC(14, 6) DEFAULT 0 NOT NULL, ADD cloud_tokens BIGINT DEFAULT 0 NOT NULL,
    ADD local_tokens BIGINT DEFAULT 0 NOT NULL;
CREATE INDEX owner_usage_hour ON owner_usage (hour);
-- Of a day in UTC. The owner '' is the whole deployment, '*' each owner without a number of its own.
CREATE TABLE daily_limits (
    owner TEXT PRIMARY KEY,
    usd NUMERIC(14, 6),
    cloud_tokens BIGINT,
    local_tokens BIGINT,
    gpu_seconds DOUBLE PRECISION,
    set_by TEXT DEFAULT SESSION_USER NOT NULL,
    set_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    CONSTRAINT daily_limits_amounts CHECK (usd >= 0 AND cloud_tokens >= 0 AND local_tokens >= 0 AND gpu_seconds >= 0)
);
-- Which warnings of a day's limits were given.
CREATE TABLE daily_warnings (
    owner TEXT NOT NULL,
    day DATE NOT NULL,
    unit TEXT NOT NULL,
    percent INTEGER NOT NULL,
    PRIMARY KEY (owner, day, unit, percent)
);
GRANT SELECT ON daily_limits, daily_warnings TO redraft_reader, redraft_submitter;
GRANT SELECT, INSERT, UPDATE, DELETE ON daily_limits, daily_warnings TO redraft_worker;
ALTER TABLE daily_limits ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE daily_warnings ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON daily_limits FOR SELECT USING (owner IN (SESSION_USER, '', '*'));
CREATE POLICY own ON daily_warnings FOR SELECT USING (owner IN (SESSION_USER, ''));
"""
DROPPED = """
DROP TABLE daily_warnings, daily_limits;
DROP INDEX owner_usage_hour, escalations_open;
ALTER TABLE owner_usage DROP usd, DROP cloud_tokens, DROP local_tokens;
ALTER TABLE escalations DROP request_sha256, DROP redactions;
ALTER TABLE leases DROP waits_for, DROP idle_until;
ALTER TABLE reservations DROP seconds;
ALTER TABLE jobs DROP budget_local_tokens, DROP budget_cloud_tokens, DROP budget_gpu_seconds;
"""
CODES = (
    "'journal_mismatch'::text",
    "'journal_mismatch'::text, 'budget_local_tokens'::text, 'budget_cloud_tokens'::text, 'budget_gpu_seconds'::text",
)
NEW = "budget_local_tokens, {0}budget_cloud_tokens, {0}budget_gpu_seconds"
FORK = "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)"
RETRY = "redraft_retry(bigint, numeric, double precision, integer, bigint)"
CHANGES = {
    FORK: [
        ("budget_completion_tokens, memory,", f"budget_completion_tokens, {NEW.format('')}, memory,"),
        (
            "source.budget_completion_tokens,\n",
            f"source.budget_completion_tokens, source.{NEW.format('source.')},\n",
        ),
    ],
    RETRY: [
        (
            "    FOR unit IN SELECT * FROM (VALUES",
            """    IF old.stop_code IN ('budget_local_tokens', 'budget_gpu_seconds') THEN
        RAISE EXCEPTION 'JOB' USING ERRCODE = 'RD001', DETAIL = job,
            HINT = format('its budget of %s is spent, and is set at submission alone; submit it again with more',
                          substr(old.stop_code, 8));
    END IF;
    FOR unit IN SELECT * FROM (VALUES""",
        )
    ],
}
VIEWS = {
    "job_summary": ["l.waits_for"],
    "escalation_history": ["e.request_sha256", "e.redactions"],
}


def upgrade() -> None:
    op.execute(TABLES)
    _redefine_codes(*CODES)
    for function, parts in CHANGES.items():
        _replace(function, parts)
    for view, columns in VIEWS.items():
        more = "".join(f",\\n    {column}" for column in columns)
        _redefine(view, "CREATE OR REPLACE VIEW", rf"regexp_replace(%s, '\n\s+FROM ', E'{more}\n FROM ')")


def downgrade() -> None:
    for view, columns in VIEWS.items():
        last = r",\s+".join(rf"(\w+[.])?{column.partition('.')[2]}" for column in columns)
        _redefine(view, f"DROP VIEW {view}; CREATE VIEW", rf"regexp_replace(%s, ',\s+{last}(?=\s+FROM )', '')")
        op.execute(f"GRANT SELECT ON {view} TO redraft_reader, redraft_submitter")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {view} TO redraft_worker")
    for function, parts in CHANGES.items():
        _replace(function, [(after, before) for before, after in parts])
    for code in ("budget_local_tokens", "budget_cloud_tokens", "budget_gpu_seconds"):
        op.execute(f"UPDATE jobs SET stop_code = 'budget_tokens' WHERE stop_code = '{code}'")
    _redefine_codes(*reversed(CODES))
    op.execute(DROPPED)


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


def _redefine(view: str, verb: str, change: str) -> None:
    definition = change % f"pg_get_viewdef('{view}'::regclass)"
    op.execute(f"""DO $do$ BEGIN
        EXECUTE (SELECT '{verb} {view} WITH (security_invoker = true) AS ' || {definition});
        END $do$""")
