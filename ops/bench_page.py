"""`make bench-page`: how long each page of the live page takes over 100 jobs with 1,000 iterations each on a real
Postgres, how many statements it reads, and whether that grows with the volume. Exits 1 where a page takes more than a
second. `--scale 0.1` makes a tenth of the jobs."""

from __future__ import annotations

import argparse
import asyncio
import http.client
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from bench import table
from dispatch.bench_postgres import at, bench_postgres
from sqlalchemy import event
from tornado.ioloop import IOLoop

from tasks.store.roles import ensure_login
from workers.ui.access import Attempts, Sessions
from workers.ui.handlers import Context
from workers.ui.links import LinkKeys
from workers.ui.server import listen

JOBS, ITERATIONS = 100, 1_000
TIMES = 12
# What the issue wants of each page, in seconds.
MOST_SECONDS = 1.0
PAGES = (
    "/", "/?hours=168", "/jobs", "/jobs?q=night&state=running", "/compare?job=1&job=2&job=3&job=4", "/jobs/1",
    "/jobs/2", "/jobs/1?before=50", "/jobs/1/iterations/80", "/jobs/1/calls/{call}", "/jobs/1/events",
    "/jobs/1/egress", "/jobs/1/now",
)  # fmt: skip
# A night of twelve hours: the first tenth of the jobs is at work, two tenths wait, the rest has ended.
_ROWS = """
SET session_replication_role = replica;

INSERT INTO jobs (owner, spec_hash, title, problem, checks, strategy, lane, egress, priority, budget_usd, budget_hours,
                  budget_iterations, budget_tokens, state, iterations, score, answer, answer_iteration, answer_slot,
                  local_tokens, spent_usd, tags, submitted_at, started_at, finished_at)
SELECT 'ada', md5(n::text), 'problem of the night ' || n, repeat('words ', 500),
       '[{"kind": "answer", "name": "answer", "value": 1}]', (ARRAY['correct', 'evolve', 'ladder'])[1 + n %% 3], 'gpu',
       'full', 0, 2, 24, 2000, 20000000, s, %(each)s, 0.5 + (n %% 5) / 10.0, repeat('an answer ', 300), %(each)s / 2, 0,
       5000000, 0.5, ARRAY['night', 'tag' || n %% 7], now() - interval '12 hours', now() - interval '12 hours',
       CASE WHEN s IN ('accepted', 'unsolved') THEN now() - make_interval(mins => n %% 600) END
FROM generate_series(1, %(jobs)s) n,
     LATERAL (SELECT CASE WHEN n <= %(jobs)s * 0.1 THEN 'running' WHEN n <= %(jobs)s * 0.3 THEN 'queued'
                     ELSE (ARRAY['accepted', 'unsolved'])[1 + n %% 2] END) AS state(s);

INSERT INTO leases (job_id, owner, lane, priority, runnable, epoch, worker, phase, lease_until, live_tokens)
SELECT id, owner, 'gpu', 0, state IN ('queued', 'running'), 7, CASE WHEN state = 'running' THEN 'worker' END,
       CASE WHEN state = 'running' THEN 'revise' ELSE '' END,
       CASE WHEN state = 'running' THEN now() + interval '1 day' END, 100 FROM jobs;

INSERT INTO iterations (job_id, number, operator, move, decision, best_slot, score, worker, epoch, started_at,
                        finished_at, improved)
SELECT id, n, CASE WHEN n %% 10 = 1 THEN 'draft' ELSE 'revise' END, '{"kind": "revise", "parents": []}',
       'revise (' || n || '.0): its best lineage', 0, (n %% 100) / 100.0, 'worker', n,
       now() - interval '12 hours' + n * interval '42 seconds',
       now() - interval '12 hours' + (n + 1) * interval '42 seconds', n %% 97 = 0
FROM jobs, generate_series(1, %(each)s) n;

INSERT INTO candidates (job_id, iteration, slot, operator, text, root_iteration, root_slot, revision, parent_iteration,
                        parent_slot, score, checked)
SELECT job_id, number, slot, operator, repeat(md5(number::text) || E'\\n', 40), number - (number - 1) %% 10, slot,
       (number - 1) %% 10, CASE WHEN operator = 'revise' THEN number - 1 END,
       CASE WHEN operator = 'revise' THEN slot END, score, true
FROM iterations, generate_series(0, 1) slot;

INSERT INTO verdicts (job_id, iteration, slot, check_name, ordinal, kind, held_out, passed, score, feedback, seconds,
                      worker, epoch, created_at)
SELECT k.job_id, k.iteration, k.slot, 'python:' || o || '.py', o, 'python', o = 1, false, 0,
       repeat('an assertion failed ', 20), 0.8, 'worker', 1, i.finished_at
FROM candidates k JOIN iterations i ON i.job_id = k.job_id AND i.number = k.iteration, generate_series(0, 1) o;

INSERT INTO calls (job_id, iteration, operator, slot, attempt, model, request, prompt_hash, text, reasoning,
                   finish_reason, prompt_tokens, cached_tokens, completion_tokens, seconds, worker, epoch, created_at)
SELECT k.job_id, k.iteration, k.operator, k.slot, 1, 'model', jsonb_build_object('messages', jsonb_build_array(
       jsonb_build_object('role', 'user', 'content', repeat(md5(k.iteration::text) || ' ', 200)))), 'hash', k.text,
       repeat('thinking ', 100), 'stop', 4000, 3000, 900, 30, 'worker', 1, i.finished_at
FROM candidates k JOIN iterations i ON i.job_id = k.job_id AND i.number = k.iteration;

INSERT INTO events (job_id, at, kind, detail)
SELECT job_id, finished_at, 'recorded', decision FROM iterations ORDER BY finished_at;

INSERT INTO reservations (job_id, epoch, iteration, operator, slot, attempt, tokens, received_tokens, begun_at, seen_at)
SELECT job_id, 7, %(each)s + 1, 'revise', 0, 1, 5000, 300, now() - interval '9 seconds', now() + interval '1 day'
FROM leases WHERE worker IS NOT NULL;

INSERT INTO workers (name, host, pid, lanes, slots, version, seen_at)
SELECT 'worker', 'host', 1, '{gpu,check}', 16, '0', now() + interval '1 day';

SET session_replication_role = DEFAULT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One page: the statements that it read, the seconds of the first request and of each later one, the size of its
    HTML."""

    path: str
    statements: int
    first: float
    seconds: list[float]
    kib: float


@dataclass(slots=True)
class Counter:
    """Counts the statements of every engine of this process."""

    statements: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, *_: object) -> None:
        with self._lock:
            self.statements += 1


def fill(url: str, jobs: int, iterations: int) -> int:
    """Puts the night into an empty database with the schema; `url` is a superuser's. Returns a call of job 1."""
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        for statement in _ROWS.split(";\n"):
            if statement.strip():
                psycopg.ClientCursor(connection).execute(statement, {"jobs": jobs, "each": iterations})  # type: ignore[arg-type]
        connection.execute("VACUUM ANALYZE")
        row = connection.execute("SELECT min(id) FROM calls WHERE job_id = 1").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def page_of(url: str) -> Iterator[tuple[int, str]]:
    """The page over a database: its port, and the cookie of whoever `url` belongs to."""
    context = Context(
        sessions=Sessions(), links=LinkKeys("bench"), attempts=Attempts(), database_url=url.replace("+psycopg", "", 1)
    )
    ready, made = threading.Event(), list[tuple[IOLoop, int]]()

    def run() -> None:
        asyncio.set_event_loop(asyncio.new_event_loop())
        server = listen(context, 0)
        made.append((IOLoop.current(), next(iter(server._sockets.values())).getsockname()[1]))
        made[0][0].add_callback(ready.set)
        made[0][0].start()
        server.stop()
        made[0][0].run_sync(server.close_all_connections)
        made[0][0].close(all_fds=True)

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield made[0][1], f"redraft-ui={context.sessions.open(context.database_url)}"
    finally:
        made[0][0].add_callback(made[0][0].stop)
        thread.join()
        context.pool.shutdown()
        context.sessions.close_all()


def measure(port: int, cookie: str, path: str, counter: Counter, times: int) -> Measured:
    """One page: in the first request connections are opened and statements planned, and the night is added up."""
    seconds, statements, size = [], 0, 0
    for _ in range(times + 1):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        before, begun = counter.statements, time.perf_counter()
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        body = answer.read()
        seconds.append(time.perf_counter() - begun)
        statements, size = counter.statements - before, len(body)
        connection.close()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status}\n{body.decode()[:2000]}")
    return Measured(path=path, statements=statements, first=seconds[0], seconds=seconds[1:], kib=size / 1024)


def main(arguments: list[str] | None = None) -> int:
    """Prints the table; 1 where a page was too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    parser.add_argument("--times", type=int, default=TIMES)
    given = parser.parse_args(arguments)
    jobs = max(10, int(JOBS * given.scale))
    counter = Counter()
    with bench_postgres() as around:
        admin = around.database("page")
        call = fill(admin, jobs, given.iterations)
        ensure_login(admin, "ada", "secret", "redraft_submitter")
        from sqlalchemy import Engine

        event.listen(Engine, "before_cursor_execute", counter)
        try:
            with page_of(around.server.url_of("page", "ada", "secret")) as (port, cookie):
                measured = [measure(port, cookie, path.format(call=call), counter, given.times) for path in PAGES]
        finally:
            event.remove(Engine, "before_cursor_execute", counter)
    print(f"{jobs} jobs with {given.iterations:,} iterations each, {given.times} requests a page\n")
    rows = [
        (
            m.path,
            str(m.statements),
            *(f"{s * 1000:.0f}" for s in (m.first, at(m.seconds, 0.5), max(m.seconds))),
            f"{m.kib:.0f}",
        )
        for m in measured
    ]
    print(table(("page", "statements", "first ms", "p50 ms", "max ms", "KiB"), rows))
    return int(any(max(m.first, *m.seconds) > MOST_SECONDS for m in measured))


if __name__ == "__main__":
    sys.exit(main())
