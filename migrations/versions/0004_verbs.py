"""Pause, resume, retry and fork: functions that a submitter may call, as for cancel, and what hours do not count."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# `paused_at` is NULL unless the job is paused (or was cancelled while it was); `idle_seconds` are those since its
# start in which it was paused or had ended before a retry: its budget of hours does not count them.
TABLES = """
ALTER TABLE jobs
    ADD paused_at TIMESTAMP WITH TIME ZONE,
    ADD idle_seconds DOUBLE PRECISION DEFAULT 0 NOT NULL;
"""
ADDED = ("pause_requested_at", "paused_at", "idle_seconds")

# Each locks the lease row before it looks at the state, as every writer does. What a person may not do is raised
# as SQLSTATE RD001: the field is the message, its value the detail, and what is allowed the hint.
FUNCTIONS = """
CREATE FUNCTION redraft_owns(job bigint) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
    SELECT EXISTS (SELECT 1 FROM jobs j WHERE j.id = job AND (j.owner = SESSION_USER OR EXISTS (
        SELECT 1 FROM pg_roles WHERE rolname = SESSION_USER AND (rolsuper OR rolbypassrls))))
$$;

CREATE FUNCTION redraft_pause(job bigint) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
DECLARE
    holder text;
    now_state text;
BEGIN
    IF NOT redraft_owns(job) THEN
        RETURN NULL;
    END IF;
    SELECT worker INTO holder FROM leases WHERE job_id = job FOR UPDATE;
    SELECT state INTO now_state FROM jobs WHERE id = job;
    IF now_state NOT IN ('queued', 'running') THEN
        RETURN now_state;
    END IF;
    IF holder IS NULL THEN
        UPDATE leases SET runnable = false WHERE job_id = job;
        UPDATE jobs SET state = 'paused', paused_at = now(), pause_requested_at = NULL WHERE id = job;
        INSERT INTO events (job_id, kind, detail) VALUES (job, 'paused', 'while no worker held it');
        RETURN 'paused';
    END IF;
    UPDATE jobs SET pause_requested_at = coalesce(pause_requested_at, now()) WHERE id = job;
    INSERT INTO events (job_id, kind, detail) VALUES (job, 'pause requested', '');
    PERFORM pg_notify('redraft_pause', job::text);
    RETURN now_state;
END $$;

CREATE FUNCTION redraft_resume(job bigint) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
DECLARE
    its_lane text;
    now_state text;
BEGIN
    IF NOT redraft_owns(job) THEN
        RETURN NULL;
    END IF;
    SELECT lane INTO its_lane FROM leases WHERE job_id = job FOR UPDATE;
    SELECT state INTO now_state FROM jobs WHERE id = job;
    IF now_state = 'paused' THEN
        UPDATE jobs SET state = 'queued', paused_at = NULL, pause_requested_at = NULL, idle_seconds = idle_seconds
            + CASE WHEN started_at IS NULL THEN 0 ELSE coalesce(extract(epoch FROM now() - paused_at), 0) END
            WHERE id = job;
        UPDATE leases SET runnable = true, waiting_since = now() WHERE job_id = job;
        INSERT INTO events (job_id, kind) VALUES (job, 'resumed');
        PERFORM pg_notify('redraft_wake', its_lane);
        RETURN 'queued';
    END IF;
    UPDATE jobs SET pause_requested_at = NULL WHERE id = job AND pause_requested_at IS NOT NULL;
    IF FOUND THEN
        INSERT INTO events (job_id, kind, detail) VALUES (job, 'resumed', 'before its worker gave it back');
    END IF;
    RETURN now_state;
END $$;

CREATE FUNCTION redraft_retry(job bigint, usd numeric, hours double precision, rounds integer, tokens bigint)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    old jobs%ROWTYPE;
    its_lane text;
    unit record;
    named text;
BEGIN
    IF NOT redraft_owns(job) THEN
        RETURN NULL;
    END IF;
    SELECT lane INTO its_lane FROM leases WHERE job_id = job FOR UPDATE;
    SELECT * INTO old FROM jobs WHERE id = job;
    IF old.state = 'accepted' THEN
        RAISE EXCEPTION 'JOB' USING ERRCODE = 'RD001', DETAIL = job,
            HINT = 'it was accepted: there is nothing to try again; `redraft fork` begins from an earlier iteration';
    ELSIF old.state NOT IN ('unsolved', 'failed', 'quarantined', 'cancelled') THEN
        RAISE EXCEPTION 'JOB' USING ERRCODE = 'RD001', DETAIL = job,
            HINT = format('it is %s, and only a finished job is tried again', old.state);
    END IF;
    named := substring(old.reason FROM 'the budget of \\S+ (\\w+) is spent');
    FOR unit IN SELECT * FROM (VALUES
        ('iterations', old.iterations::numeric, old.budget_iterations::numeric, rounds::numeric),
        ('hours', (extract(epoch FROM coalesce(old.paused_at, old.finished_at, now()) - old.started_at)
                   - old.idle_seconds)::numeric / 3600, old.budget_hours::numeric, hours::numeric),
        ('tokens', (old.local_tokens + old.cloud_tokens)::numeric, old.budget_tokens::numeric, tokens::numeric),
        ('usd', NULL, old.budget_usd, usd)) AS units(name, used, has, given)
    LOOP
        IF unit.given < unit.has THEN
            RAISE EXCEPTION '%', 'budget.' || unit.name USING ERRCODE = 'RD001', DETAIL = trim_scale(unit.given),
                HINT = format('at least the %s that it has', trim_scale(unit.has));
        ELSIF coalesce(unit.used >= coalesce(unit.given, unit.has), false)
              OR (unit.name = named AND coalesce(unit.given, unit.has) = unit.has) THEN
            RAISE EXCEPTION 'budget' USING ERRCODE = 'RD001',
                DETAIL = format('%s=%s', unit.name, trim_scale(coalesce(unit.given, unit.has))),
                HINT = format('that is spent; give more: `redraft retry %s --budget %s=%s`', job, unit.name,
                              trim_scale(2 * greatest(unit.has, ceil(unit.used))));
        END IF;
    END LOOP;
    UPDATE jobs SET state = 'queued', reason = '', crashes = 0, faults = 0, finished_at = NULL,
           cancel_requested_at = NULL, pause_requested_at = NULL, paused_at = NULL,
           idle_seconds = idle_seconds + CASE WHEN started_at IS NULL THEN 0
               ELSE coalesce(extract(epoch FROM now() - coalesce(paused_at, finished_at)), 0) END,
           budget_usd = greatest(budget_usd, usd), budget_hours = greatest(budget_hours, hours),
           budget_iterations = greatest(budget_iterations, rounds), budget_tokens = greatest(budget_tokens, tokens)
        WHERE id = job;
    UPDATE leases SET runnable = true, run_at = now(), waiting_since = now() WHERE job_id = job;
    INSERT INTO events (job_id, kind, detail) VALUES (job, 'retried', format('it was %s: %s', old.state, old.reason));
    PERFORM pg_notify('redraft_wake', its_lane);
    RETURN 'queued';
END $$;

CREATE FUNCTION redraft_fork(job bigint, upto integer, usd numeric, hours double precision, rounds integer,
                             tokens bigint, its_strategy text, its_seed bigint)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
    source jobs%ROWTYPE;
    best candidates%ROWTYPE;
    winner integer;
    made bigint;
BEGIN
    IF NOT redraft_owns(job) THEN
        RETURN NULL;
    END IF;
    SELECT * INTO source FROM jobs WHERE id = job;
    IF upto IS NULL OR upto < 1 OR upto > source.iterations THEN
        RAISE EXCEPTION '--from' USING ERRCODE = 'RD001', DETAIL = coalesce(upto, 0), HINT = CASE source.iterations
            WHEN 0 THEN format('job %s has recorded no iteration yet', job)
            ELSE format('a recorded iteration of job %s, from 1 to %s', job, source.iterations) END;
    END IF;
    SELECT min(k.iteration) INTO winner FROM candidates k WHERE k.job_id = job AND k.iteration <= upto AND k.accepted;
    IF winner IS NOT NULL THEN
        RAISE EXCEPTION '--from' USING ERRCODE = 'RD001', DETAIL = upto, HINT = CASE winner
            WHEN 1 THEN format('iteration 1 of job %s holds the accepted answer: there is nothing to fork from', job)
            ELSE format('iteration %s of job %s holds the accepted answer; fork from an earlier one', winner, job) END;
    END IF;
    IF coalesce(rounds, source.budget_iterations) <= upto THEN
        RAISE EXCEPTION 'budget' USING ERRCODE = 'RD001',
            DETAIL = format('iterations=%s', coalesce(rounds, source.budget_iterations)),
            HINT = format('the fork begins with %s iterations; give more: `redraft fork %s --from %s --budget '
                          'iterations=%s`', upto, job, upto, 2 * upto);
    END IF;
    SELECT k.* INTO best FROM iterations i JOIN candidates k
        ON k.job_id = i.job_id AND k.iteration = i.number AND k.slot = i.best_slot
        WHERE i.job_id = job AND i.number <= upto AND i.finished_at IS NOT NULL AND k.guard IS NULL
        ORDER BY k.score DESC, i.number LIMIT 1;
    made := nextval(pg_get_serial_sequence('public.jobs', 'id'));
    INSERT INTO jobs (id, owner, spec_hash, title, problem, checks, strategy, lane, egress, priority, tags, seed,
                      budget_usd, budget_hours, budget_iterations, budget_tokens, memory, recalled, attachments,
                      forked_from, forked_iteration, iterations, score, answer, answer_iteration, answer_slot)
        VALUES (made, source.owner, source.spec_hash, source.title, source.problem, source.checks,
                coalesce(its_strategy, source.strategy), source.lane, source.egress, source.priority, source.tags,
                coalesce(its_seed, (source.seed + made) % 2147483648),
                coalesce(usd, source.budget_usd), coalesce(hours, source.budget_hours),
                coalesce(rounds, source.budget_iterations), coalesce(tokens, source.budget_tokens),
                source.memory, source.recalled, source.attachments, job, upto, upto,
                best.score, best.text, best.iteration, best.slot);
    INSERT INTO iterations (job_id, number, operator, move, decision, best_slot, score, worker, epoch, started_at,
                            finished_at)
        SELECT made, number, operator, move, decision, best_slot, score, worker, epoch, started_at, finished_at
        FROM iterations WHERE job_id = job AND number <= upto;
    INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision,
                            parent_iteration, parent_slot, guard, score, accepted, checked, created_at)
        SELECT made, iteration, slot, operator, text, root_iteration, root_slot, revision, parent_iteration,
               parent_slot, guard, score, accepted, checked, created_at
        FROM candidates WHERE job_id = job AND iteration <= upto;
    INSERT INTO verdicts (job_id, iteration, slot, check_name, ordinal, kind, held_out, passed, score, feedback,
                          seconds, worker, epoch, created_at)
        SELECT made, iteration, slot, check_name, ordinal, kind, held_out, passed, score, feedback, seconds, worker,
               epoch, created_at
        FROM verdicts WHERE job_id = job AND iteration <= upto;
    -- The copied work keeps its epochs, so those that the fork gives out go on from there.
    UPDATE leases SET epoch = (SELECT max(e) FROM (
        SELECT epoch AS e FROM iterations WHERE job_id = made
        UNION ALL SELECT epoch FROM verdicts WHERE job_id = made UNION ALL SELECT 0) AS given) WHERE job_id = made;
    INSERT INTO events (job_id, kind, detail)
        VALUES (made, 'forked', format('from iteration %s of job %s', upto, job));
    RETURN made;
END $$;
"""
SIGNATURES = (
    "redraft_owns(bigint)",
    "redraft_pause(bigint)",
    "redraft_resume(bigint)",
    "redraft_retry(bigint, numeric, double precision, integer, bigint)",
    "redraft_fork(bigint, integer, numeric, double precision, integer, bigint, text, bigint)",
)


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(FUNCTIONS)
    for signature in SIGNATURES:
        op.execute(f"REVOKE ALL ON FUNCTION {signature} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO redraft_submitter, redraft_worker")
    more = ", ".join(f"j.{column}" for column in ADDED)
    _redefine("CREATE OR REPLACE VIEW", rf"regexp_replace(%s, '\n\s+FROM ', E', {more}\n FROM ')")


def downgrade() -> None:
    less = r",\s+".join(rf"j\.{column}" for column in ADDED)
    _redefine("DROP VIEW job_summary; CREATE VIEW", rf"regexp_replace(%s, ',\s+{less}', '')")
    op.execute("GRANT SELECT ON job_summary TO redraft_reader, redraft_submitter")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON job_summary TO redraft_worker")
    for signature in reversed(SIGNATURES):
        op.execute(f"DROP FUNCTION {signature}")
    op.execute("ALTER TABLE jobs DROP paused_at, DROP idle_seconds")


def _redefine(verb: str, change: str) -> None:
    """The view as it stands but for `change`: which columns the revisions before gave it is theirs to know."""
    definition = change % "pg_get_viewdef('job_summary'::regclass)"
    op.execute(f"""DO $do$ BEGIN
        EXECUTE (SELECT '{verb} job_summary WITH (security_invoker = true) AS ' || {definition});
        END $do$""")
