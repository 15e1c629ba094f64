"""Rows of which every metric has a number: jobs in some states, a worker whose engine is ill, limits, requests to the
cloud. For a database with the newest schema and nothing in it."""

from __future__ import annotations

ROWS = """
INSERT INTO batches (id, owner, budget_tokens, tokens, started_at) VALUES (7, 'ada', 1000, 100, now());
INSERT INTO jobs (id, owner, spec_hash, title, problem, checks, strategy, lane, egress, budget_usd, budget_hours,
                  budget_iterations, budget_tokens, state, iterations, started_at, finished_at, batch_id)
SELECT n, 'ada', 'h', 'job ' || n, 'words', '[{"kind": "answer", "name": "answer", "value": 42}]', 'correct', 'gpu',
       'full', 2, 4, 30, 2000000, (ARRAY['queued', 'running', 'accepted'])[n], CASE n WHEN 2 THEN 28 ELSE 1 END, now(),
       CASE n WHEN 3 THEN now() END, CASE n WHEN 1 THEN 7 END FROM generate_series(1, 3) n;
UPDATE leases SET waiting_since = now() - interval '2 hours', run_at = now() - interval '2 hours' WHERE job_id = 1;
UPDATE leases SET worker = 'w', turn = 't', epoch = 1, lease_until = now() + interval '1 hour',
       progress_at = now() - interval '30 s' WHERE job_id = 2;
UPDATE leases SET runnable = false WHERE job_id = 3;
INSERT INTO workers (name, host, pid, lanes, slots, version, model, seen_at, engine_fault, engine_fault_at,
                     engine_running, engine_waiting, engine_kv_usage, engine_slots)
VALUES ('w', 'h', 1, '{gpu,check}', 4, '0', 'm', now() + interval '1 hour', 'out of memory', now() - interval '60 s',
        5, 2, 0.75, 16);
INSERT INTO background_tasks (process, part, task, succeeded_at) VALUES
    ('w', 'worker', 'events', now() + interval '1 hour'), ('r', 'relay', 'relay', now() + interval '1 hour');
INSERT INTO iterations (job_id, number, operator, move, finished_at)
SELECT id, 1, 'draft', '{}', now() FROM jobs WHERE id > 1;
INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision)
SELECT id, 1, 0, 'draft', '42', 1, 0, 0 FROM jobs WHERE id > 1;
INSERT INTO verdicts (job_id, iteration, slot, check_name, ordinal, kind, held_out, passed, score, feedback, seconds,
                      worker, epoch)
SELECT id, 1, 0, 'answer', 0, 'answer', true, id = 3, 1, '', 0.5, 'w', 1 FROM jobs WHERE id > 1;
INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text, finish_reason, guard,
                   prompt_tokens, cached_tokens, completion_tokens, seconds, worker, epoch, usd)
VALUES (2, 1, 'draft', 0, 1, 'm', '{}', 'h', '', 'stop', NULL, 100, 30, 50, 2, 'w', 1, 0),
       (3, 1, 'draft', 0, 1, 'm', '{}', 'h', '', 'stop', '{"kind": "cycle"}', 100, 30, 50, 2, 'w', 1, 0),
       (3, 2, 'escalate', 0, 1, 'gpt', '{}', 'h', '', 'lost', NULL, 1000, 0, 1000, 2, 'w', 1, 0.5);
INSERT INTO reservations (job_id, epoch, iteration, operator, slot, attempt, tokens, received_tokens, begun_at, seen_at)
VALUES (2, 1, 2, 'draft', 0, 1, 1000, 500, now() + interval '1 hour' - interval '10 s', now() + interval '1 hour');
INSERT INTO escalations (job_id, iteration, kind, model, state, request, usd, reserved_usd, finished_at)
VALUES (3, 2, 'answer', 'gpt', 'unknown', '{}', 0.5, 0.5, now()), (2, 3, 'hint', 'gpt', 'running', '{}', 0, 0.1, NULL);
INSERT INTO providers (provider, faults, opened_at, open_until) VALUES ('api', 5, now(), now() + interval '1 hour');
INSERT INTO outbox (job_id, topic, payload) VALUES (3, 'memory.upsert', '{"lesson": 1}');
INSERT INTO owner_usage (owner, hour, engine_seconds, usd, local_tokens)
VALUES ('ada', date_trunc('hour', now(), 'UTC'), 5, 0.5, 900), ('bob', date_trunc('hour', now(), 'UTC'), 5, 0.5, 10);
INSERT INTO daily_limits (owner, usd, local_tokens) VALUES ('', 4, NULL), ('*', NULL, 1000), ('bob', NULL, 2000);
INSERT INTO events (job_id, kind) VALUES (1, 'lease expired'), (1, 'fault'), (3, 'accepted');
INSERT INTO metric_totals (name, labels, value) VALUES ('redraft_engine_restarts_total', '{"model": "m"}', 2),
    ('redraft_background_task_failures_total', '{"part": "relay", "task": "relay"}', 3),
    ('redraft_hook_given_up_total', '{"hook": "ops"}', 1);
"""
