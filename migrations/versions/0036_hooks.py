"""Hooks: whom the outbox tells of events. Each state of a job that somebody waits for is a delivery to each hook that
wants it, written by the transaction that changes the state: a trigger sees every way there is to change it."""

from __future__ import annotations

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE hooks (
    name TEXT PRIMARY KEY,
    events TEXT[] NOT NULL,
    delivered BIGINT DEFAULT 0 NOT NULL,
    delivered_at TIMESTAMPTZ,
    -- Its receiver said that it wants no more (410).
    gone_at TIMESTAMPTZ
);
-- Of an engine's host, once its outage was told.
CREATE TABLE engine_outages (
    host TEXT PRIMARY KEY,
    why TEXT NOT NULL,
    since TIMESTAMPTZ NOT NULL,
    told_at TIMESTAMPTZ DEFAULT now() NOT NULL
);
ALTER TABLE hooks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE engine_outages ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE, DELETE ON hooks, engine_outages TO redraft_worker;
GRANT SELECT ON hooks TO redraft_owner;
CREATE POLICY definer ON hooks FOR SELECT TO redraft_owner USING (true);

ALTER TABLE outbox ALTER job_id DROP NOT NULL, ADD given_up_at TIMESTAMPTZ;
DROP INDEX outbox_due;
CREATE INDEX outbox_due ON outbox (deliver_at) WHERE delivered_at IS NULL AND given_up_at IS NULL;
CREATE INDEX outbox_undelivered ON outbox (topic) WHERE delivered_at IS NULL;
"""
FUNCTIONS = """
CREATE FUNCTION public.redraft_tell(job bigint, event text, what jsonb) RETURNS void LANGUAGE sql
SET search_path = pg_catalog, pg_temp AS $$
    -- One row for each hook that wants the event; its id is the same for all of them.
    WITH one AS MATERIALIZED (SELECT 'evt_' || replace(gen_random_uuid()::text, '-', '') AS id)
    INSERT INTO public.outbox (job_id, topic, payload)
    SELECT job, 'hook ' || h.name, jsonb_build_object('id', one.id, 'type', event, 'data', what,
        'timestamp', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
    FROM public.hooks h, one WHERE h.gone_at IS NULL AND event = ANY (h.events)
$$;

CREATE FUNCTION public.redraft_state_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
-- At the end of the transaction, when the row is as it stays: one that goes on at once with a hint has not ended.
BEGIN
    PERFORM public.redraft_tell(j.id,
        CASE WHEN j.state = 'unsolved' AND j.stop_code ~ '^(budget|batch)_' THEN 'job.over_budget'
             ELSE 'job.' || j.state END,
        jsonb_build_object('job', j.id, 'title', j.title, 'owner', j.owner, 'tags', j.tags, 'state', j.state,
            'acceptance', j.acceptance, 'score', j.score, 'value', j.value, 'iterations', j.iterations,
            'usd', j.spent_usd, 'local_tokens', j.local_tokens, 'cloud_tokens', j.cloud_tokens,
            'stop_code', j.stop_code, 'stop_used', j.stop_used, 'stop_limit', j.stop_limit,
            'stop_needed', j.stop_needed, 'stop_value', j.stop_value, 'stop_ended_by', j.stop_ended_by,
            'stop_detail', j.stop_detail))
    FROM public.jobs j WHERE j.id = NEW.id AND j.state = NEW.state;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER jobs_state_changed AFTER UPDATE OF state ON jobs DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state AND NEW.state IN
    ('accepted', 'unsolved', 'cancelled', 'quarantined', 'failed', 'needs_input'))
EXECUTE FUNCTION public.redraft_state_changed();
"""
# What is given up waits no more: metrics count what is still to be delivered.
METRICS = "redraft_metrics()"
PENDING = ("WHERE x.delivered_at IS NULL GROUP", "WHERE x.delivered_at IS NULL AND x.given_up_at IS NULL GROUP")
CALLERS = {"redraft_tell(bigint, text, jsonb)": "redraft_worker", "redraft_state_changed()": ""}


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(FUNCTIONS)
    op.execute("GRANT CREATE ON SCHEMA public TO redraft_owner")
    for function, callers in CALLERS.items():
        op.execute(f"ALTER FUNCTION public.{function} OWNER TO redraft_owner")
        op.execute(f"REVOKE ALL ON FUNCTION public.{function} FROM PUBLIC")
        if callers:
            op.execute(f"GRANT EXECUTE ON FUNCTION public.{function} TO {callers}")
    op.execute("REVOKE CREATE ON SCHEMA public FROM redraft_owner")
    _replace(METRICS, *PENDING)


def downgrade() -> None:
    _replace(METRICS, *reversed(PENDING))
    op.execute("DROP TRIGGER jobs_state_changed ON jobs")
    for function in reversed(CALLERS):
        op.execute(f"DROP FUNCTION public.{function}")
    op.execute("""
        DELETE FROM outbox WHERE topic LIKE 'hook %';
        DROP INDEX outbox_undelivered;
        DROP INDEX outbox_due;
        ALTER TABLE outbox ALTER job_id SET NOT NULL, DROP given_up_at;
        CREATE INDEX outbox_due ON outbox (deliver_at) WHERE delivered_at IS NULL;
        DROP TABLE engine_outages, hooks;
    """)


def _replace(function: str, before: str, after: str) -> None:
    op.execute(f"""DO $do$ DECLARE
        body text := pg_get_functiondef('public.{function}'::regprocedure);
    BEGIN
        IF position($text${before}$text$ IN body) = 0 THEN
            RAISE EXCEPTION '% is not the one that this migration changes', '{function}';
        END IF;
        EXECUTE replace(body, $text${before}$text$, $text${after}$text$);
    END $do$""")
