"""Plain Celery in the chaos suite: the same jobs, the same services and the same faults, one task a job."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.chaos.contestant import Charge, Standing
from tests.chaos.fleet import Part, Services, port_of
from tests.chaos.plain_worker import READY, TABLES, VISIBILITY_SECONDS, make_app
from tests.chaos.proxy import Proxy
from tests.chaos.workload import Riddle

SLOTS = 4
STALE_MESSAGES = 20
DATABASE = "plain"

_CALLS = "SELECT job_id, iteration, operator, slot, text FROM plain_calls WHERE job_id = ANY(%s)"


class PlainCelery:
    """Implements `Contestant`, without the parts that only Redraft has."""

    name = "plain celery"
    steps_a_job = 10
    lease_seconds = float(VISIBILITY_SECONDS)
    # Long enough for several redeliveries.
    patience_seconds = 90.0
    settle_seconds = 0.0

    def __init__(self, services: Services) -> None:
        self.services = services
        self.relays: list[Part] = []
        self.memory: Part | None = None
        admin = services.postgres.url.replace("+psycopg", "", 1)
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")  # type: ignore[arg-type]
        self._url = services.postgres.url_of(DATABASE).replace("+psycopg", "", 1)
        with psycopg.connect(self._url) as connection:
            connection.execute(TABLES)  # type: ignore[arg-type]
        self._broker = services.valkey.url.removesuffix("/0") + "/1"
        self.workers = [self._worker(number) for number in range(len(services.engines))]
        self._jobs: dict[int, Riddle] = {}
        self._reference: dict[int, frozenset[tuple[Any, ...]]] = {}
        self._times = 1

    # ── its processes ────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """All of them."""
        for worker in self.workers:
            worker.start()
        for worker in self.workers:
            worker.wait()

    def stop(self) -> None:
        """All of them, and their proxies."""
        for worker in self.workers:
            worker.kill()
            for link in worker.links.values():
                link.close()

    def _worker(self, number: int) -> Part:
        postgres, valkey = Proxy(self.services.postgres.port), Proxy(self.services.valkey.port)
        app = ["-m", "celery", "-A", "tests.chaos.plain_worker", "--quiet", "worker"]
        how = ["--pool", "threads", "--concurrency", str(SLOTS), "--without-gossip", "--without-mingle"]
        return Part(
            name=f"plain worker {number}",
            argv=[sys.executable, *app, *how, "--hostname", f"plain{number}@chaos", "--loglevel", "WARNING"],
            environment={
                "PLAIN_BROKER": self._broker.replace(f":{self.services.valkey.port}", f":{valkey.port}"),
                "PLAIN_DATABASE": self._url.replace(f":{self.services.postgres.port}", f":{postgres.port}"),
                "PLAIN_ENDPOINT": f"http://127.0.0.1:{port_of(self.services.engines[number])}/v1",
            },
            log=self.services.log(f"plain-worker-{number}"),
            ready=READY,
            links={"postgres": postgres, "valkey": valkey},
        )

    def links(self, service: str) -> Sequence[Proxy]:
        """The proxies of its workers to a service."""
        return [worker.links[service] for worker in self.workers]

    def busy(self) -> list[Part]:
        """Those that last began or recorded something of a job that is not over."""
        rows = self._ask(
            """SELECT DISTINCT s.pid FROM plain_starts s JOIN plain_jobs j ON j.id = s.job_id
               WHERE j.finished_at IS NULL"""
        )
        pids = {row["pid"] for row in rows or []}
        return [worker for worker in self.workers if worker.child and worker.child.pid in pids] or self.workers

    # ── its jobs ─────────────────────────────────────────────────────────────────────────────

    def submit(self, riddles: Sequence[Riddle]) -> tuple[int, ...]:
        """A row and a message each; acknowledged once both are there."""
        jobs = []
        for riddle in riddles:
            (row,) = self._ask("INSERT INTO plain_jobs (number) VALUES (%s) RETURNING id", riddle.number) or [{}]
            self._jobs[row["id"]] = riddle
            jobs.append(row["id"])
        self._send(jobs, self._times)
        return tuple(jobs)

    def _send(self, jobs: Sequence[int], times: int) -> None:
        with make_app(self._broker) as app:
            for job in jobs:
                riddle = self._jobs[job]
                for _ in range(times):
                    arguments = (job, riddle.number, riddle.memory, riddle.poison)
                    app.send_task("plain.solve", args=arguments, task_id=f"plain-{job}")

    def standings(self, jobs: Collection[int]) -> Mapping[int, Standing] | None:
        """A step is a call that was recorded."""
        rows = self._ask(
            """SELECT j.id, j.finished_at IS NOT NULL AS over,
                      (SELECT count(*) FROM plain_calls c WHERE c.job_id = j.id) AS steps
               FROM plain_jobs j WHERE j.id = ANY(%s)""",
            list(jobs),
        )
        return None if rows is None else {row["id"]: Standing(steps=row["steps"], over=row["over"]) for row in rows}

    def cut_turns(self) -> int:
        """Beginnings of a job beyond its first."""
        rows = self._ask("SELECT count(*) - count(DISTINCT job_id) AS n FROM plain_starts")
        return int(rows[0]["n"]) if rows else 0

    def stale(self) -> int:
        """Messages of jobs that are over."""
        old = list(self._jobs)[:STALE_MESSAGES]
        self._send(old, 1)
        return len(old)

    def tenfold(self, on: bool) -> None:
        """While it is on every message is sent ten times."""
        self._times = 10 if on else 1

    def change_release(self, worker: Part) -> None:
        """Its code is the same in every release."""

    # ── its judge ────────────────────────────────────────────────────────────────────────────

    def learn(self) -> None:
        """What the jobs so far came to is what every later one of the same riddle must come to."""
        for job, calls in self._calls().items():
            self._reference[self._jobs[job].number] = frozenset(calls)

    def judge(self) -> tuple[Charge, ...]:
        """Every job: is it over, is each of its calls and lessons recorded once, are they those of a run without
        faults."""
        calls, found = self._calls(), []
        rows = self._ask(
            """SELECT j.id, j.finished_at, j.answer, (SELECT count(*) FROM plain_lessons l WHERE l.job_id = j.id)
                      AS lessons FROM plain_jobs j WHERE j.id = ANY(%s)""",
            list(self._jobs),
        )
        for row in rows or []:
            job, riddle = row["id"], self._jobs[row["id"]]
            made = calls.get(job, [])
            keys = [call[:-1] for call in made]
            if row["finished_at"] is None:
                found.append(Charge(kind="lost", job=job, what="it never ended"))
            if len(keys) > len(set(keys)):
                what = f"{len(keys)} calls were paid for, {len(set(keys))} are asked for"
                found.append(Charge(kind="doubled", job=job, what=what))
            elif row["lessons"] > riddle.memory:
                found.append(Charge(kind="doubled", job=job, what=f"{row['lessons']} lessons"))
            right = str(row["answer"]).endswith(f"ANSWER: {riddle.right}")
            story = self._reference.get(riddle.number, frozenset(made))
            if row["finished_at"] is not None and (not right or frozenset(made) != story):
                found.append(Charge(kind="diverged", job=job, what=f"its answer is {row['answer']!r}"))
        return tuple(found)

    def _calls(self) -> dict[int, list[tuple[Any, ...]]]:
        found: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
        for row in self._ask(_CALLS, list(self._jobs)) or []:
            found[row["job_id"]].append((row["iteration"], row["operator"], row["slot"], row["text"]))
        return found

    def _ask(self, query: str, *parameters: object) -> list[dict[str, Any]] | None:
        """Rows; None where Postgres is away."""
        try:
            with psycopg.connect(self._url, connect_timeout=3, row_factory=dict_row) as connection:
                return connection.execute(query, parameters or None).fetchall()  # type: ignore[arg-type]
        except psycopg.Error:
            return None
