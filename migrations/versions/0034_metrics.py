"""What metrics are read from: totals that no deletion lowers, what each process says of its background tasks, what a
worker says of its engine's load, and one function that gives all numbers and no row of anybody's."""

from __future__ import annotations

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

TABLES = """
-- Counts of what happened before the moment that the row `counted_until` holds, in seconds since 1970.
CREATE TABLE metric_totals (
    name TEXT NOT NULL,
    labels JSONB NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (name, labels)
);
-- When each background task of a process last did what it is for.
CREATE TABLE background_tasks (
    process TEXT NOT NULL,
    part TEXT NOT NULL,
    task TEXT NOT NULL,
    succeeded_at TIMESTAMPTZ NOT NULL,
    seen_at TIMESTAMPTZ DEFAULT now() NOT NULL,
    PRIMARY KEY (process, task),
    CONSTRAINT background_tasks_part CHECK (part IN ('worker', 'relay'))
);
GRANT SELECT, INSERT, UPDATE, DELETE ON metric_totals, background_tasks TO redraft_worker;
GRANT SELECT ON metric_totals, background_tasks TO redraft_owner;
-- Null: the engine does not say.
ALTER TABLE workers ADD engine_running INTEGER, ADD engine_waiting INTEGER, ADD engine_kv_usage DOUBLE PRECISION,
                    ADD engine_slots INTEGER;
CREATE INDEX events_at ON events USING brin (at) WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX iterations_finished ON iterations USING brin (finished_at)
    WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX escalations_unsettled ON escalations (job_id) WHERE state = 'unknown' AND settled_at IS NULL;
"""
# What the function reads beside what those of people do.
READ = ("calls", "escalations", "owner_usage", "daily_limits", "batches", "reservations")
GRANTED = ("workers", "providers", "events", "outbox")

COUNTED = """
CREATE FUNCTION public.redraft_counted(since timestamptz, until timestamptz)
RETURNS TABLE (name text, labels jsonb, value double precision) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
-- What happened from one moment to before another, as increments of counters. Nothing in it may become less later: a
-- call that was lost counts what it was charged at first, whatever the operator settles.
WITH called AS (
    SELECT c.model, c.operator, CASE WHEN c.guard ? 'let_through' THEN 'let_through' ELSE c.guard->>'kind' END AS guard,
           count(*) AS number, sum(c.seconds) AS seconds,
           sum(CASE c.finish_reason WHEN 'lost' THEN 0 ELSE c.prompt_tokens END) AS prompt,
           sum(CASE c.finish_reason WHEN 'lost' THEN 0 ELSE c.cached_tokens END) AS cached,
           sum(CASE c.finish_reason WHEN 'lost' THEN 0 ELSE c.completion_tokens END) AS completion,
           sum(CASE c.finish_reason WHEN 'lost' THEN coalesce((SELECT max(e.charged_usd) FROM public.escalations e
               WHERE e.job_id = c.job_id AND e.iteration = c.iteration), c.usd) ELSE c.usd END) AS usd
    FROM public.calls c WHERE c.created_at >= since AND c.created_at < until GROUP BY 1, 2, 3
), checked AS (
    SELECT v.kind, v.held_out::text AS held_out, v.passed::text AS passed, count(*) AS number, sum(v.seconds) AS seconds
    FROM public.verdicts v WHERE v.created_at >= since AND v.created_at < until GROUP BY 1, 2, 3
), increments AS (
    SELECT x.* FROM called c CROSS JOIN LATERAL (VALUES
        ('redraft_calls_total', jsonb_build_object('model', c.model, 'operator', c.operator), c.number::numeric),
        ('redraft_call_seconds_total', jsonb_build_object('model', c.model), c.seconds::numeric),
        ('redraft_tokens_total', jsonb_build_object('model', c.model, 'kind', 'prompt'), c.prompt),
        ('redraft_tokens_total', jsonb_build_object('model', c.model, 'kind', 'cached'), c.cached),
        ('redraft_tokens_total', jsonb_build_object('model', c.model, 'kind', 'completion'), c.completion),
        ('redraft_spend_usd_total', jsonb_build_object('model', c.model), c.usd),
        ('redraft_guard_hits_total', jsonb_build_object('kind', c.guard), CASE WHEN c.guard <> '' THEN c.number END)
    ) x(name, labels, value)
    UNION ALL
    SELECT x.* FROM checked k CROSS JOIN LATERAL (VALUES
        ('redraft_verdicts_total', jsonb_build_object('kind', k.kind, 'held_out', k.held_out, 'passed', k.passed),
         k.number::numeric),
        ('redraft_check_seconds_total', jsonb_build_object('kind', k.kind), k.seconds::numeric)
    ) x(name, labels, value)
    UNION ALL
    SELECT 'redraft_iterations_total', jsonb_build_object('operator', i.operator), count(*)
    FROM public.iterations i WHERE i.finished_at >= since AND i.finished_at < until GROUP BY i.operator
    UNION ALL
    SELECT 'redraft_job_events_total', jsonb_build_object('kind', e.kind), count(*)
    FROM public.events e WHERE e.at >= since AND e.at < until GROUP BY e.kind
)
SELECT n.name, n.labels, sum(n.value)::double precision FROM increments n WHERE n.value IS NOT NULL
GROUP BY n.name, n.labels
$$;
"""

METRICS = """
CREATE FUNCTION public.redraft_metrics()
RETURNS TABLE (name text, labels jsonb, value double precision) LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
-- Every number that is measured, of all owners together: counters since the first job, and gauges of this moment. No
-- label says whose or which job.
WITH stored AS (
    SELECT m.name, m.labels, m.value FROM public.metric_totals m WHERE m.name <> 'counted_until'
    UNION ALL
    SELECT c.name, c.labels, c.value FROM public.redraft_counted(coalesce((SELECT to_timestamp(m.value)
        FROM public.metric_totals m WHERE m.name = 'counted_until'), '-infinity'), 'infinity') c
    UNION ALL  -- a counter that is not there has no first increase
    SELECT 'redraft_job_events_total', jsonb_build_object('kind', k), 0 FROM unnest(ARRAY['submitted', 'accepted',
        'unsolved', 'cancelled', 'quarantined', 'failed', 'lease expired', 'lease taken', 'fault', 'defect',
        'escalation unknown', 'budget warning']) k
    UNION ALL
    SELECT 'redraft_background_task_failures_total', jsonb_build_object('part', b.part, 'task', b.task), 0
    FROM public.background_tasks b
    UNION ALL
    SELECT 'redraft_engine_restarts_total', jsonb_build_object('model', w.model), 0
    FROM public.workers w WHERE w.model <> ''
), by_state AS (
    SELECT j.state, count(*) AS jobs FROM public.jobs j GROUP BY j.state
), open AS (
    SELECT l.* FROM public.leases l WHERE l.runnable OR l.worker IS NOT NULL
), by_lane AS (
    SELECT o.lane, count(o.worker) AS held, count(*) FILTER (WHERE o.worker IS NULL AND o.run_at <= now()) AS waiting,
           count(*) FILTER (WHERE o.worker IS NULL AND o.run_at > now()) AS later,
           min(greatest(o.waiting_since, o.run_at)) FILTER (WHERE o.worker IS NULL AND o.run_at <= now()) AS oldest
    FROM open o GROUP BY o.lane
), live AS (
    SELECT w.*, greatest(0, w.slots - (SELECT count(*) FROM public.leases l WHERE l.worker = w.name)) AS free
    FROM public.workers w WHERE w.seen_at > now() - interval '10 s'
), by_served AS (
    SELECT s.lane, count(*) AS workers, sum(w.free) AS free
    FROM live w CROSS JOIN LATERAL unnest(w.lanes) s(lane) GROUP BY s.lane
), in_flight AS (
    SELECT coalesce(nullif(w.model, ''), 'none') AS model,
           sum(r.received_tokens / greatest(extract(epoch FROM r.seen_at - r.begun_at), 1)) AS rate, count(*) AS calls
    FROM public.reservations r JOIN public.leases l ON l.job_id = r.job_id AND l.epoch = r.epoch
         JOIN live w ON w.name = l.worker
    WHERE r.operator <> 'escalate' AND r.seen_at > now() - interval '20 s' GROUP BY 1
), engines AS (
    SELECT coalesce(nullif(w.model, ''), 'none') AS model, min((w.engine_fault = '')::integer) AS up,
           sum(w.engine_running) AS running, sum(w.engine_waiting) AS waiting, max(w.engine_kv_usage) AS kv,
           sum(w.engine_slots) AS slots, max(extract(epoch FROM now() - w.engine_fault_at)) AS outage
    FROM live w WHERE w.model <> '' OR w.engine_fault <> '' GROUP BY 1
), tasks AS (  -- a relay that lives is enough; every worker that lives must be well
    SELECT b.part, b.task, min(extract(epoch FROM now() - b.succeeded_at)) AS age
    FROM public.background_tasks b WHERE b.part = 'relay' GROUP BY b.part, b.task
    UNION ALL
    SELECT b.part, b.task, max(extract(epoch FROM now() - b.succeeded_at))
    FROM public.background_tasks b JOIN live w ON w.name = b.process WHERE b.part = 'worker' GROUP BY b.part, b.task
), used AS (
    SELECT u.owner, sum(u.usd) AS usd, sum(u.cloud_tokens) AS cloud_tokens, sum(u.local_tokens) AS local_tokens,
           sum(u.engine_seconds)::numeric AS gpu_seconds
    FROM public.owner_usage u WHERE u.hour >= date_trunc('day', now(), 'UTC') GROUP BY u.owner
), limited AS (
    SELECT 'deployment' AS scope, x.unit, x.used, x.most FROM public.daily_limits d CROSS JOIN (
        SELECT sum(u.usd) AS usd, sum(u.cloud_tokens) AS cloud_tokens, sum(u.local_tokens) AS local_tokens,
               sum(u.gpu_seconds) AS gpu_seconds FROM used u) s CROSS JOIN LATERAL (VALUES ('usd', s.usd, d.usd),
        ('cloud_tokens', s.cloud_tokens, d.cloud_tokens), ('local_tokens', s.local_tokens, d.local_tokens),
        ('gpu_seconds', s.gpu_seconds, d.gpu_seconds::numeric)) x(unit, used, most) WHERE d.owner = ''
    UNION ALL
    SELECT 'owner', x.unit, x.used, x.most FROM used s LEFT JOIN public.daily_limits o ON o.owner = s.owner
        LEFT JOIN public.daily_limits e ON e.owner = '*' CROSS JOIN LATERAL (VALUES
        ('usd', s.usd, coalesce(o.usd, e.usd)), ('cloud_tokens', s.cloud_tokens, coalesce(o.cloud_tokens,
        e.cloud_tokens)), ('local_tokens', s.local_tokens, coalesce(o.local_tokens, e.local_tokens)),
        ('gpu_seconds', s.gpu_seconds, coalesce(o.gpu_seconds, e.gpu_seconds)::numeric)) x(unit, used, most)
    UNION ALL
    SELECT 'batch', x.unit, x.used, x.most FROM public.batches b CROSS JOIN LATERAL (VALUES
        ('usd', b.usd, b.budget_usd), ('tokens', b.tokens::numeric, b.budget_tokens), ('hours',
        extract(epoch FROM now() - b.started_at) / 3600, b.budget_hours::numeric)) x(unit, used, most)
    WHERE b.id IN (SELECT j.batch_id FROM open o JOIN public.jobs j ON j.id = o.job_id WHERE j.batch_id IS NOT NULL
                   AND j.finished_at IS NULL)
), near AS (
    SELECT count(*) AS jobs FROM open o JOIN public.jobs j ON j.id = o.job_id
    WHERE j.finished_at IS NULL AND greatest(j.iterations::double precision / j.budget_iterations,
        (j.local_tokens + j.cloud_tokens)::double precision / j.budget_tokens, j.spent_usd / j.budget_usd,
        (extract(epoch FROM now() - j.started_at) - j.idle_seconds) / 3600 / j.budget_hours) >= 0.9
), pending AS (
    SELECT x.topic, count(*) AS rows, extract(epoch FROM now() - min(x.created_at)) AS age, max(x.attempts) AS attempts
    FROM public.outbox x WHERE x.delivered_at IS NULL GROUP BY x.topic
), escalated AS (
    SELECT e.state, count(*) AS requests FROM public.escalations e WHERE e.finished_at IS NULL GROUP BY e.state
), numbers AS (
    SELECT s.name, s.labels, sum(s.value) AS value FROM stored s GROUP BY s.name, s.labels
    UNION ALL
    SELECT 'redraft_jobs', jsonb_build_object('state', s), coalesce(b.jobs, 0)
    FROM unnest(ARRAY['queued', 'running', 'paused', 'needs_input', 'accepted', 'unsolved', 'cancelled', 'quarantined',
                      'failed']) s LEFT JOIN by_state b ON b.state = s
    UNION ALL
    SELECT x.name, x.labels, x.value FROM unnest(ARRAY['gpu', 'fast', 'check', 'cloud']) n(lane)
        LEFT JOIN by_lane l ON l.lane = n.lane LEFT JOIN by_served s ON s.lane = n.lane CROSS JOIN LATERAL (VALUES
        ('redraft_lane_jobs', jsonb_build_object('lane', n.lane, 'state', 'held'), coalesce(l.held, 0)),
        ('redraft_lane_jobs', jsonb_build_object('lane', n.lane, 'state', 'waiting'), coalesce(l.waiting, 0)),
        ('redraft_lane_jobs', jsonb_build_object('lane', n.lane, 'state', 'later'), coalesce(l.later, 0)),
        ('redraft_lane_workers', jsonb_build_object('lane', n.lane), coalesce(s.workers, 0)),
        ('redraft_lane_free_slots', jsonb_build_object('lane', n.lane), coalesce(s.free, 0)),
        ('redraft_queue_age_seconds', jsonb_build_object('lane', n.lane),
         coalesce(extract(epoch FROM now() - l.oldest), 0))) x(name, labels, value)
    UNION ALL
    SELECT x.name, '{}', x.value FROM (SELECT count(*) AS workers, sum(w.slots) AS slots FROM live w) w CROSS JOIN
        (SELECT count(*) AS held, extract(epoch FROM now() - max(o.progress_at)) AS quiet FROM open o
         WHERE o.worker IS NOT NULL) h CROSS JOIN LATERAL (VALUES
        ('redraft_workers', w.workers::numeric), ('redraft_slots', coalesce(w.slots, 0)), ('redraft_leases', h.held),
        ('redraft_progress_age_seconds', CASE WHEN h.held = 0 THEN 0 ELSE greatest(0, h.quiet) END)) x(name, value)
    UNION ALL
    SELECT x.name, jsonb_build_object('model', e.model), x.value FROM engines e LEFT JOIN in_flight f
        ON f.model = e.model CROSS JOIN LATERAL (VALUES ('redraft_engine_up', e.up::double precision),
        ('redraft_engine_requests_running', e.running), ('redraft_engine_requests_waiting', e.waiting),
        ('redraft_engine_slots', e.slots), ('redraft_engine_kv_usage_ratio', e.kv),
        ('redraft_engine_outage_seconds', coalesce(e.outage, 0)), ('redraft_engine_calls', coalesce(f.calls, 0)),
        ('redraft_engine_tokens_per_second', coalesce(f.rate, 0))) x(name, value)
    UNION ALL
    SELECT 'redraft_background_task_age_seconds', jsonb_build_object('part', t.part, 'task', t.task), greatest(0, t.age)
    FROM tasks t
    UNION ALL
    SELECT 'redraft_budget_used_ratio', jsonb_build_object('scope', l.scope, 'unit', l.unit),
           max(CASE WHEN l.most > 0 THEN coalesce(l.used, 0) / l.most ELSE 1 END)
    FROM limited l WHERE l.most IS NOT NULL GROUP BY l.scope, l.unit
    UNION ALL
    SELECT 'redraft_jobs_near_budget', '{}', n.jobs FROM near n
    UNION ALL
    SELECT x.name, jsonb_build_object('topic', p.topic), x.value FROM pending p CROSS JOIN LATERAL (VALUES
        ('redraft_outbox_pending', p.rows::numeric), ('redraft_outbox_age_seconds', p.age),
        ('redraft_outbox_attempts', p.attempts)) x(name, value)
    UNION ALL
    SELECT 'redraft_escalations_open', jsonb_build_object('state', e.state), e.requests FROM escalated e
    UNION ALL
    SELECT 'redraft_escalations_unsettled', '{}', count(*) FROM public.escalations e
    WHERE e.state = 'unknown' AND e.settled_at IS NULL
    UNION ALL
    SELECT 'redraft_cloud_circuits_open', '{}', count(*) FROM public.providers p WHERE p.open_until > now()
    UNION ALL
    SELECT 'redraft_database_bytes', '{}', pg_database_size(current_database())
)
SELECT n.name, n.labels, n.value::double precision FROM numbers n WHERE n.value IS NOT NULL
$$;
"""


def upgrade() -> None:
    op.execute("""DO $do$ BEGIN CREATE ROLE redraft_metrics NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $do$""")
    op.execute(TABLES)
    for table in READ:
        op.execute(f"GRANT SELECT ON {table} TO redraft_owner")
        op.execute(f"CREATE POLICY definer ON {table} FOR SELECT TO redraft_owner USING (true)")
    op.execute(f"GRANT SELECT ON {', '.join(GRANTED)} TO redraft_owner")
    op.execute("GRANT CREATE ON SCHEMA public TO redraft_owner")
    op.execute(COUNTED)
    op.execute(METRICS)
    for function in ("redraft_counted(timestamptz, timestamptz)", "redraft_metrics()"):
        op.execute(f"ALTER FUNCTION public.{function} OWNER TO redraft_owner")
        op.execute(f"REVOKE ALL ON FUNCTION public.{function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION public.{function} TO redraft_worker")
    op.execute("GRANT EXECUTE ON FUNCTION public.redraft_metrics() TO redraft_metrics")
    op.execute("REVOKE CREATE ON SCHEMA public FROM redraft_owner")


def downgrade() -> None:
    op.execute("DROP FUNCTION redraft_metrics(), redraft_counted(timestamptz, timestamptz)")
    for table in READ:
        op.execute(f"DROP POLICY definer ON {table}")
    op.execute(f"REVOKE SELECT ON {', '.join((*READ, *GRANTED))} FROM redraft_owner")
    op.execute("""DROP INDEX events_at, iterations_finished, escalations_unsettled;
                  ALTER TABLE workers DROP engine_running, DROP engine_waiting, DROP engine_kv_usage, DROP engine_slots;
                  DROP TABLE background_tasks, metric_totals""")
    op.execute("""DO $do$ BEGIN DROP ROLE redraft_metrics; -- a login, or another database, may still need it
        EXCEPTION WHEN dependent_objects_still_exist OR object_in_use THEN NULL; END $do$""")
