"""Fills a database with the rows of a deployment that has run for months and has a long queue. SQL only."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

# Finished jobs have ten iterations each; one job in fifty waits for the worker that ran it before.
ITERATIONS_A_JOB = 10
HOURS_OF_USAGE = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """How much there is: jobs that wait, their owners, iterations of finished jobs, and live workers of 8 slots."""

    queued: int = 10_000
    owners: int = 50
    past_iterations: int = 1_000_000
    workers: int = 20


# Row triggers and foreign keys are checked by the tests; a million times over they are only slow.
_ROWS = """
SET session_replication_role = replica;

INSERT INTO jobs (owner, spec_hash, title, problem, checks, strategy, lane, egress, priority, budget_usd, budget_hours,
                  budget_iterations, budget_tokens, state, iterations, score, submitted_at, started_at, finished_at)
SELECT 'owner' || n %% %(owners)s, md5(n::text), 'job ' || n, repeat('words ', 50),
       '[{"kind": "answer", "name": "answer", "value": 1}]', 'correct', 'gpu', 'full', 0, 2, 4, 30, 2000000,
       (ARRAY['accepted', 'unsolved', 'cancelled'])[1 + n %% 3], %(each)s, 0.5, t, t, t
FROM generate_series(1, %(past)s / %(each)s) n,
     LATERAL (SELECT now() - make_interval(mins => 600 + n %% 100000)) AS at(t);

INSERT INTO leases (job_id, owner, lane, priority, runnable, run_at, epoch, last_worker, waiting_since)
SELECT id, owner, lane, priority, false, finished_at, %(each)s, 'worker' || id %% %(workers)s, finished_at FROM jobs;

INSERT INTO iterations (job_id, number, operator, move, decision, best_slot, score, worker, epoch, started_at,
                        finished_at)
SELECT id, n, 'draft', '{}', 'revise', 0, 0.5, 'worker0', n, submitted_at, finished_at
FROM jobs, generate_series(1, %(each)s) n;

INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision, score)
SELECT job_id, number, 0, 'draft', 'ANSWER: 41', 1, 0, number, 0.5 FROM iterations;

INSERT INTO events (job_id, at, kind, detail) SELECT id, submitted_at, 'submitted', title FROM jobs;

INSERT INTO outbox (job_id, topic, payload, deliver_at, delivered_at)
SELECT id, 'memory.upsert', '{}', finished_at, finished_at FROM jobs;
INSERT INTO outbox (job_id, topic, payload) SELECT id, 'memory.upsert', '{}' FROM jobs ORDER BY id DESC LIMIT 20;

INSERT INTO owner_usage
SELECT 'owner' || o, date_trunc('hour', now()) - make_interval(hours => h), o * 37 %% 1800
FROM generate_series(0, %(owners)s - 1) o, generate_series(0, %(hours)s - 1) h;

INSERT INTO workers (name, host, pid, lanes, slots, version, modalities)
SELECT 'worker' || n, 'host', n, '{gpu,check}', 8, '0', '{text,image,audio}' FROM generate_series(0, %(workers)s - 1) n;

WITH new AS (
    INSERT INTO jobs (owner, spec_hash, title, problem, checks, strategy, lane, egress, priority, budget_usd,
                      budget_hours, budget_iterations, budget_tokens, submitted_at)
    SELECT 'owner' || n %% %(owners)s, md5(n::text), 'job ' || n, repeat('words ', 50),
           '[{"kind": "answer", "name": "answer", "value": 1}]', 'correct', 'gpu', 'full',
           CASE WHEN n %% 100 < 2 THEN 5 ELSE 0 END, 2, 4, 30, 2000000,
           now() - make_interval(secs => (n * 7919) %% 14400)
    FROM generate_series(1, %(queued)s) n RETURNING id, owner, lane, priority, submitted_at
) INSERT INTO leases (job_id, owner, lane, priority, last_worker, waiting_since)
SELECT id, owner, lane, priority, CASE WHEN id %% 50 = 0 THEN 'worker' || id %% %(workers)s END, submitted_at FROM new;

UPDATE leases SET worker = 'worker' || job_id %% %(workers)s, epoch = 1, lease_until = now() + interval '1 day'
WHERE job_id IN (SELECT job_id FROM leases WHERE runnable ORDER BY job_id LIMIT %(workers)s * 4);

SET session_replication_role = DEFAULT;
"""


def fill(url: str, volume: Volume) -> None:
    """Puts `volume` into an empty database with the schema, and analyses it; `url` is a superuser's."""
    values = {
        "queued": volume.queued,
        "owners": volume.owners,
        "past": volume.past_iterations,
        "each": ITERATIONS_A_JOB,
        "workers": volume.workers,
        "hours": HOURS_OF_USAGE,
    }
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        # Each statement by itself: the extended protocol takes one, and the client binds the values.
        for statement in _ROWS.split(";\n"):
            if statement.strip():
                psycopg.ClientCursor(connection).execute(statement, values)  # type: ignore[arg-type]
        connection.execute("VACUUM ANALYZE")
