-- Every function of the schema as of 0011. A login may put whatever it likes before `public` in a search path, and
-- pg_temp comes first where a path does not name it: so pg_temp is named, last, and each object by its schema.
-- Each asks whose the job is before it locks a row, and locks the lease row before it looks at the state. What a person
-- may not do is raised as SQLSTATE RD001: the field is the message, its value the detail, what is allowed the hint.

CREATE OR REPLACE FUNCTION public.redraft_submitted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO public.leases (job_id, owner, lane, priority) VALUES (NEW.id, NEW.owner, NEW.lane, NEW.priority);
    IF NEW.attachments <> '[]' THEN
        UPDATE public.leases SET needs = ARRAY(
            SELECT DISTINCT split_part(a ->> 'media_type', '/', 1) FROM jsonb_array_elements(NEW.attachments) a)
        WHERE job_id = NEW.id;
    END IF;
    INSERT INTO public.events (job_id, kind, detail) VALUES (NEW.id, 'submitted', NEW.title);
    PERFORM pg_notify('redraft_wake', NEW.lane);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION public.redraft_cancel(job bigint) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder text;
    now_state text;
BEGIN
    IF NOT public.redraft_owns(job) THEN
        RETURN NULL;
    END IF;
    SELECT worker INTO holder FROM public.leases WHERE job_id = job FOR UPDATE;
    SELECT state INTO now_state FROM public.jobs WHERE id = job;
    IF now_state NOT IN ('queued', 'running', 'paused') THEN
        RETURN now_state;
    END IF;
    UPDATE public.jobs SET cancel_requested_at = coalesce(cancel_requested_at, now()) WHERE id = job;
    IF holder IS NULL THEN
        UPDATE public.leases SET runnable = false, epoch = epoch + 1 WHERE job_id = job;
        UPDATE public.jobs SET state = 'cancelled', reason = 'cancelled by its owner', finished_at = now()
            WHERE id = job;
        INSERT INTO public.events (job_id, kind, detail) VALUES (job, 'cancelled', 'before a worker held it');
        RETURN 'cancelled';
    END IF;
    INSERT INTO public.events (job_id, kind, detail) VALUES (job, 'cancel requested', '');
    PERFORM pg_notify('redraft_cancel', job::text);
    RETURN now_state;
END $$;

CREATE OR REPLACE FUNCTION public.redraft_quarantine(lesson bigint) RETURNS timestamptz LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    source bigint;
    since timestamptz;
BEGIN
    SELECT job_id INTO source FROM public.lessons WHERE id = lesson;
    IF NOT public.redraft_owns(source) THEN
        RETURN NULL;
    END IF;
    SELECT quarantined_at INTO since FROM public.lessons WHERE id = lesson FOR UPDATE;
    IF since IS NOT NULL THEN
        RETURN since;
    END IF;
    UPDATE public.lessons SET quarantined_at = now() WHERE id = lesson;
    INSERT INTO public.outbox (job_id, topic, payload)
    VALUES (source, 'memory.remove', jsonb_build_object('lesson', lesson));
    INSERT INTO public.events (job_id, kind, detail) VALUES (source, 'lesson quarantined', lesson::text);
    RETURN now();
END $$;

CREATE OR REPLACE FUNCTION public.redraft_owns(job bigint) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
    SELECT EXISTS (SELECT 1 FROM public.jobs j WHERE j.id = job AND (j.owner = SESSION_USER OR EXISTS (
        SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = SESSION_USER AND (rolsuper OR rolbypassrls))))
$$;

CREATE OR REPLACE FUNCTION public.redraft_pause(job bigint) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder text;
    now_state text;
BEGIN
    IF NOT public.redraft_owns(job) THEN
        RETURN NULL;
    END IF;
    SELECT worker INTO holder FROM public.leases WHERE job_id = job FOR UPDATE;
    SELECT state INTO now_state FROM public.jobs WHERE id = job;
    IF now_state NOT IN ('queued', 'running') THEN
        RETURN now_state;
    END IF;
    IF holder IS NULL THEN
        UPDATE public.leases SET runnable = false WHERE job_id = job;
        UPDATE public.jobs SET state = 'paused', paused_at = now(), pause_requested_at = NULL WHERE id = job;
        INSERT INTO public.events (job_id, kind, detail) VALUES (job, 'paused', 'while no worker held it');
        RETURN 'paused';
    END IF;
    UPDATE public.jobs SET pause_requested_at = coalesce(pause_requested_at, now()) WHERE id = job;
    INSERT INTO public.events (job_id, kind, detail) VALUES (job, 'pause requested', '');
    PERFORM pg_notify('redraft_pause', job::text);
    RETURN now_state;
END $$;

CREATE OR REPLACE FUNCTION public.redraft_resume(job bigint) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    its_lane text;
    now_state text;
BEGIN
    IF NOT public.redraft_owns(job) THEN
        RETURN NULL;
    END IF;
    SELECT lane INTO its_lane FROM public.leases WHERE job_id = job FOR UPDATE;
    SELECT state INTO now_state FROM public.jobs WHERE id = job;
    IF now_state = 'paused' THEN
        UPDATE public.jobs SET state = 'queued', paused_at = NULL, pause_requested_at = NULL, idle_seconds = idle_seconds
            + CASE WHEN started_at IS NULL THEN 0 ELSE coalesce(extract(epoch FROM now() - paused_at), 0) END
            WHERE id = job;
        UPDATE public.leases SET runnable = true, waiting_since = now() WHERE job_id = job;
        INSERT INTO public.events (job_id, kind) VALUES (job, 'resumed');
        PERFORM pg_notify('redraft_wake', its_lane);
        RETURN 'queued';
    END IF;
    UPDATE public.jobs SET pause_requested_at = NULL WHERE id = job AND pause_requested_at IS NOT NULL;
    IF FOUND THEN
        INSERT INTO public.events (job_id, kind, detail) VALUES (job, 'resumed', 'before its worker gave it back');
    END IF;
    RETURN now_state;
END $$;

CREATE OR REPLACE FUNCTION public.redraft_retry(job bigint, usd numeric, hours double precision, rounds integer,
                                                tokens bigint)
RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    old public.jobs%ROWTYPE;
    its_lane text;
    unit record;
    named text;
BEGIN
    IF NOT public.redraft_owns(job) THEN
        RETURN NULL;
    END IF;
    SELECT lane INTO its_lane FROM public.leases WHERE job_id = job FOR UPDATE;
    SELECT * INTO old FROM public.jobs WHERE id = job;
    IF old.state = 'accepted' THEN
        RAISE EXCEPTION 'JOB' USING ERRCODE = 'RD001', DETAIL = job,
            HINT = 'it was accepted: there is nothing to try again; `redraft fork` begins from an earlier iteration';
    ELSIF old.state NOT IN ('unsolved', 'failed', 'quarantined', 'cancelled') THEN
        RAISE EXCEPTION 'JOB' USING ERRCODE = 'RD001', DETAIL = job,
            HINT = format('it is %s, and only a finished job is tried again', old.state);
    END IF;
    named := substring(old.reason FROM 'the budget of \S+ (\w+) is spent');
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
    UPDATE public.jobs SET state = 'queued', lesson_due = false, reason = '', crashes = 0, faults = 0,
           finished_at = NULL, cancel_requested_at = NULL, pause_requested_at = NULL, paused_at = NULL,
           idle_seconds = idle_seconds + CASE WHEN started_at IS NULL THEN 0
               ELSE coalesce(extract(epoch FROM now() - coalesce(paused_at, finished_at)), 0) END,
           budget_usd = greatest(budget_usd, usd), budget_hours = greatest(budget_hours, hours),
           budget_iterations = greatest(budget_iterations, rounds), budget_tokens = greatest(budget_tokens, tokens)
        WHERE id = job;
    UPDATE public.leases SET epoch = epoch + 1, worker = NULL, turn = NULL, lease_until = NULL, runnable = true, run_at = now(),
           waiting_since = now() WHERE job_id = job;
    INSERT INTO public.events (job_id, kind, detail)
        VALUES (job, 'retried', format('it was %s: %s', old.state, old.reason));
    PERFORM pg_notify('redraft_wake', its_lane);
    RETURN 'queued';
END $$;

CREATE OR REPLACE FUNCTION public.redraft_fork(job bigint, upto integer, usd numeric, hours double precision, rounds integer,
                             tokens bigint, its_strategy text, its_seed bigint)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    source public.jobs%ROWTYPE;
    best public.candidates%ROWTYPE;
    winner integer;
    made bigint;
BEGIN
    IF NOT public.redraft_owns(job) THEN
        RETURN NULL;
    END IF;
    SELECT * INTO source FROM public.jobs WHERE id = job;
    IF upto IS NULL OR upto < 1 OR upto > source.iterations THEN
        RAISE EXCEPTION '--from' USING ERRCODE = 'RD001', DETAIL = coalesce(upto, 0), HINT = CASE source.iterations
            WHEN 0 THEN format('job %s has recorded no iteration yet', job)
            ELSE format('a recorded iteration of job %s, from 1 to %s', job, source.iterations) END;
    END IF;
    SELECT min(k.iteration) INTO winner FROM public.candidates k
        WHERE k.job_id = job AND k.iteration <= upto AND k.accepted;
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
    SELECT k.* INTO best FROM public.iterations i JOIN public.candidates k
        ON k.job_id = i.job_id AND k.iteration = i.number AND k.slot = i.best_slot
        WHERE i.job_id = job AND i.number <= upto AND i.finished_at IS NOT NULL AND k.guard IS NULL
        ORDER BY k.score DESC, i.number LIMIT 1;
    made := nextval(pg_get_serial_sequence('public.jobs', 'id'));
    INSERT INTO public.jobs (id, owner, spec_hash, title, problem, checks, strategy, lane, egress, priority, tags, seed,
                      budget_usd, budget_hours, budget_iterations, budget_tokens, memory, recalled, attachments,
                      forked_from, forked_iteration, iterations, score, answer, answer_iteration, answer_slot)
        VALUES (made, source.owner, source.spec_hash, source.title, source.problem, source.checks,
                coalesce(its_strategy, source.strategy), source.lane, source.egress, source.priority, source.tags,
                coalesce(its_seed, (source.seed + made) % 2147483648),
                coalesce(usd, source.budget_usd), coalesce(hours, source.budget_hours),
                coalesce(rounds, source.budget_iterations), coalesce(tokens, source.budget_tokens),
                source.memory, source.recalled, source.attachments, job, upto, upto,
                best.score, best.text, best.iteration, best.slot);
    INSERT INTO public.iterations (job_id, number, operator, move, decision, best_slot, score, worker, epoch, started_at,
                            finished_at)
        SELECT made, number, operator, move, decision, best_slot, score, worker, epoch, started_at, finished_at
        FROM public.iterations WHERE job_id = job AND number <= upto;
    INSERT INTO public.candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision,
                            parent_iteration, parent_slot, guard, score, accepted, checked, created_at)
        SELECT made, iteration, slot, operator, text, root_iteration, root_slot, revision, parent_iteration,
               parent_slot, guard, score, accepted, checked, created_at
        FROM public.candidates WHERE job_id = job AND iteration <= upto;
    INSERT INTO public.verdicts (job_id, iteration, slot, check_name, ordinal, kind, held_out, passed, score, feedback,
                          seconds, worker, epoch, created_at)
        SELECT made, iteration, slot, check_name, ordinal, kind, held_out, passed, score, feedback, seconds, worker,
               epoch, created_at
        FROM public.verdicts WHERE job_id = job AND iteration <= upto;
    -- The copied work keeps its epochs, so those that the fork gives out go on from there.
    UPDATE public.leases SET epoch = (SELECT max(e) FROM (
        SELECT epoch AS e FROM public.iterations WHERE job_id = made
        UNION ALL SELECT epoch FROM public.verdicts WHERE job_id = made UNION ALL SELECT 0) AS given) WHERE job_id = made;
    INSERT INTO public.events (job_id, kind, detail)
        VALUES (made, 'forked', format('from iteration %s of job %s', upto, job));
    RETURN made;
END $$;

CREATE OR REPLACE FUNCTION public.redraft_crash_bill(job bigint) RETURNS jsonb LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT jsonb_build_object(
        'crashes', count(*), 'calls', coalesce(sum(calls), 0),
        'tokens', coalesce(sum(tokens), 0), 'tokens_at_most', coalesce(sum(tokens_at_most), 0),
        'seconds', coalesce(sum(seconds), 0), 'seconds_at_most', coalesce(sum(seconds_at_most), 0),
        'why', coalesce((array_agg(why ORDER BY epoch DESC))[1], ''))
    FROM public.crashes WHERE job_id = job
$$;
