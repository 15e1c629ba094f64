"""Redraft in the chaos suite: two workers, a relay and a memory of its own processes, and the judge of its database."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tasks.errors import MemoryUnavailable, RedraftError
from tasks.memory.bank import QdrantBank
from tasks.memory.embedder import Embedder
from tasks.store.invariants import breaches
from tasks.store.migrate import upgrade
from tasks.store.queries import submit_jobs
from tasks.store.roles import ensure_login
from tasks.store.session import Database
from tests.chaos.contestant import Charge, Standing
from tests.chaos.fleet import ROOT, Part, Services, port_of
from tests.chaos.proxy import Proxy
from tests.chaos.workload import Riddle
from workers.celery_app import make_app
from workers.local.home import free_port
from workers.local.parts import answers

LEASE_SECONDS = 3.0
SLOTS = 4
OWNERS = ("chaos_ada", "chaos_bob")
PASSWORD, MEMORY_KEY = "only-in-this-test", "only-for-this-test"
STALE_MESSAGES = 20
NEXT_VERSION = "99.0"
LAUNCH = (sys.executable, "-m", "tests.chaos.launch")

# What a job has come to: everything that a run without faults makes, and nothing that depends on when it was made.
_STORY = """
SELECT j.id, j.state, j.acceptance, j.answer, j.iterations, (
    SELECT json_agg(json_build_array(c.iteration, c.operator, c.slot, c.attempt, c.text)
                    ORDER BY c.iteration, c.operator, c.slot, c.attempt) FROM calls c WHERE c.job_id = j.id) AS calls, (
    SELECT json_agg(json_build_array(k.iteration, k.slot, k.operator, k.text, k.score, k.accepted)
                    ORDER BY k.iteration, k.slot) FROM candidates k WHERE k.job_id = j.id) AS candidates, (
    SELECT json_agg(json_build_array(i.number, i.operator, i.decision) ORDER BY i.number)
    FROM iterations i WHERE i.job_id = j.id) AS iterations_made
FROM jobs j WHERE j.id = ANY(%s)"""
# The lesson of a job is a side effect: written once, carried by the outbox, counted once.
_EFFECTS = """
SELECT j.id, count(l.id) AS lessons,
       (SELECT count(*) FROM outbox o WHERE o.job_id = j.id AND o.delivered_at IS NULL) AS waiting
FROM jobs j LEFT JOIN lessons l ON l.job_id = j.id WHERE j.id = ANY(%s) GROUP BY j.id"""
_SEEN = """
SELECT l.id, l.job_id, l.seen, 1 + (SELECT count(*) FROM lessons d WHERE d.duplicate_of = l.id) AS counted
FROM lessons l WHERE l.duplicate_of IS NULL"""


class Redraft:
    """Implements `Contestant`, in a `database` of its own; `teaching` is whether it has a memory."""

    # A job takes four seconds when it is alone; one that is not over by then is lost.
    patience_seconds = 90.0
    # What is delivered after the job: lessons.
    settle_seconds = 30.0

    def __init__(self, services: Services, *, database: str = "chaos", teaching: bool = True) -> None:
        self.name, self.services, self._database = "redraft", services, database
        with psycopg.connect(services.postgres.url.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"')  # type: ignore[arg-type]
        self._admin = services.postgres.url_of(database)
        upgrade(self._admin)
        ensure_login(self._admin, "chaos_fleet", PASSWORD, "redraft_worker")
        for owner in OWNERS:
            ensure_login(self._admin, owner, PASSWORD, "redraft_submitter")
        self._common = {
            "REDRAFT_LEASE_SECONDS": str(LEASE_SECONDS),
            "REDRAFT_SLOTS": str(SLOTS),
            "REDRAFT_WIDTH": "2",
            "REDRAFT_TOKEN_SILENCE_SECONDS": "5",
            "REDRAFT_FIRST_TOKEN_SECONDS": "5",
            "REDRAFT_DRAIN_SECONDS": "2",
            "REDRAFT_EGRESS": "never",
            "REDRAFT_MEMORY_KEY": MEMORY_KEY,
            "REDRAFT_HOME": str(services.folder / "redraft"),
        }
        self._memory_url = f"http://127.0.0.1:{free_port()}" if teaching else ""
        self.memory = self._memory_part() if teaching else None
        self._all_links: list[Mapping[str, Proxy]] = []
        self.relays = [self.relay(0)]
        self.workers = [self.worker(number) for number in range(len(services.engines))]
        self._jobs: dict[int, Riddle] = {}
        self._reference: dict[int, str] = {}
        self._keys = itertools.count(1)

    # ── its processes ────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """All of them."""
        for part in self._parts():
            part.start()
        for part in self._parts():
            part.wait()

    def stop(self) -> None:
        """All of them, and their proxies."""
        for part in self._parts():
            part.kill()
        for links in self._all_links:
            for link in links.values():
                link.close()

    def _parts(self) -> list[Part]:
        return [*([self.memory] if self.memory else []), *self.relays, *self.workers]

    def _memory_part(self) -> Part:
        port = self._memory_url.rsplit(":", 1)[1]
        code = (
            "import sys; from pathlib import Path; from workers.local.memory import serve; "
            "serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])"
        )
        return Part(
            name="memory",
            argv=[sys.executable, "-c", code, str(self.memory_folder), port, MEMORY_KEY],
            environment={},
            log=self.services.log("memory"),
        )

    @property
    def memory_folder(self) -> Path:
        """Where the index lies."""
        return self.services.folder / "memory"

    def lose_memory(self) -> None:
        """The index is gone."""
        shutil.rmtree(self.memory_folder, ignore_errors=True)

    def rebuild_memory(self) -> None:
        """`redraft memory rebuild`, as an operator would."""
        while not answers(self._memory_url, {"api-key": MEMORY_KEY}):
            time.sleep(0.1)
        database = self.services.postgres.url_of(self._database, "chaos_fleet", PASSWORD)
        addresses = {"REDRAFT_DATABASE_URL": database, "REDRAFT_MEMORY_URL": self._memory_url}
        subprocess.run(
            [*LAUNCH, "memory", "rebuild"],
            env={**os.environ, **self._common, **addresses},
            cwd=ROOT,
            check=True,
            capture_output=True,
        )

    def relay(self, number: int) -> Part:
        """A relay with links of its own, not yet started."""
        return self._part(f"relay {number}", [*LAUNCH, "relay"], {}, ready="")

    def worker(self, number: int) -> Part:
        """The worker of engine `number`."""
        engine = f"http://127.0.0.1:{port_of(self.services.engines[number])}/v1"
        return self._part(
            f"worker {number}", [*LAUNCH, "worker"], {"REDRAFT_ENDPOINT": engine}, ready="the worker takes work"
        )

    def _part(self, name: str, argv: Sequence[str], environment: Mapping[str, str], *, ready: str) -> Part:
        links = {
            "postgres": Proxy(self.services.postgres.port),
            "valkey": Proxy(self.services.valkey.port),
        }
        self._all_links.append(links)
        database = self.services.postgres.url_of(self._database, "chaos_fleet", PASSWORD)
        broker = self.services.valkey.url
        addresses = {
            "REDRAFT_DATABASE_URL": _through(database, self.services.postgres.port, links["postgres"]),
            "REDRAFT_BROKER_URL": _through(broker, self.services.valkey.port, links["valkey"]),
            "REDRAFT_MEMORY_URL": self._memory_url,
        }
        return Part(
            name=name,
            argv=argv,
            environment={**self._common, **addresses, **environment},
            log=self.services.log(name.replace(" ", "-")),
            ready=ready,
            links=links,
        )

    def links(self, service: str) -> Sequence[Proxy]:
        """The proxies of all its processes to a service."""
        return [links[service] for links in self._all_links]

    # ── its jobs ─────────────────────────────────────────────────────────────────────────────

    def submit(self, riddles: Sequence[Riddle]) -> tuple[int, ...]:
        """Hands them in, each owner's in one transaction; tried again under the same keys where the answer is lost."""
        jobs: list[int] = []
        for turn, owner in enumerate(OWNERS):
            mine = riddles[turn :: len(OWNERS)]
            if mine:
                with Database(self.services.postgres.url_of(self._database, owner, PASSWORD), pool=1) as database:
                    made = submit_jobs(database, [riddle.spec(f"chaos-{next(self._keys)}") for riddle in mine])
                jobs += [one.job for one in made]
                self._jobs.update(zip((one.job for one in made), mine, strict=True))
        return tuple(jobs)

    def standings(self, jobs: Collection[int]) -> Mapping[int, Standing] | None:
        """A step is a call, a verdict or an iteration that was recorded."""
        rows = self._ask(
            """SELECT j.id, j.finished_at IS NOT NULL AS over, j.iterations
                      + (SELECT count(*) FROM calls c WHERE c.job_id = j.id)
                      + (SELECT count(*) FROM verdicts v WHERE v.job_id = j.id) AS steps
               FROM jobs j WHERE j.id = ANY(%s)""",
            list(jobs),
        )
        return None if rows is None else {row["id"]: Standing(steps=row["steps"], over=row["over"]) for row in rows}

    def cut_turns(self) -> int:
        """Leases that ran out, and turns that ended with a fault of a service."""
        rows = self._ask("SELECT count(*) AS n FROM events WHERE kind IN ('lease expired', 'fault')")
        return int(rows[0]["n"]) if rows else 0

    def busy(self) -> list[Part]:
        """Those whose process holds a lease."""
        rows = self._ask("SELECT DISTINCT worker FROM leases WHERE worker IS NOT NULL") or []
        pids = {int(row["worker"].rsplit("-", 1)[1]) for row in rows}
        found = [worker for worker in self.workers if worker.child and worker.child.pid in pids]
        return found or self.workers

    def stale(self) -> int:
        """Wake-ups for nothing."""
        with make_app(self.services.valkey.url) as app:
            for _ in range(STALE_MESSAGES):
                app.send_task("redraft.turn", args=("gpu",), queue="gpu")
        return STALE_MESSAGES

    def tenfold(self, on: bool) -> None:
        """While it is on the relay is another, which sends everything ten times."""
        for relay in self.relays:
            relay.kill()
            relay.start(**({"CHAOS_TIMES": "10"} if on else {}))

    def another_relay(self) -> Part:
        """A second one."""
        return self.relay(len(self.relays))

    def change_release(self, worker: Part) -> None:
        """To the next release and back: a copy of the code that calls itself another version."""
        worker.folder = self._next_release() if worker.folder == ROOT else ROOT

    def _next_release(self) -> Path:
        copy = self.services.folder / "next"
        if not copy.exists():
            for room in ("tasks", "workers", "migrations", "tests"):
                shutil.copytree(ROOT / room, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
            metadata = Path(str(distribution("redraft").locate_file(f"redraft-{version('redraft')}.dist-info")))
            shutil.copytree(metadata, copy / f"redraft-{NEXT_VERSION}.dist-info")
            about = copy / f"redraft-{NEXT_VERSION}.dist-info" / "METADATA"
            about.write_text(about.read_text().replace(f"Version: {version('redraft')}", f"Version: {NEXT_VERSION}", 1))
        return copy

    # ── its judge ────────────────────────────────────────────────────────────────────────────

    def learn(self) -> None:
        """What the jobs so far came to, without faults, is what every later one of the same riddle must come to."""
        for job, story in self._stories().items():
            self._reference[self._jobs[job].number] = story

    def judge(self) -> tuple[Charge, ...]:
        """The invariants of the product, every job's story beside that of the run without faults, every lesson."""
        worker = self.services.postgres.url_of(self._database, "chaos_fleet", PASSWORD)
        try:
            with Database(worker, pool=1) as database:
                broken = breaches(database, submitted=tuple(self._jobs), drained=True)
        except RedraftError as error:
            return (Charge(kind="lost", job=0, what=f"the judge cannot see the database: {error}"),)
        kinds = {"I1": "lost", "I2": "doubled", "I6": "doubled"}
        found = [
            Charge(kind=kinds.get(b.invariant[:2], "diverged"), job=b.job, what=f"{b.invariant}: {b.what}")
            for b in broken
        ]
        for job, story in self._stories().items():
            expected, state = self._reference.get(self._jobs[job].number, story), json.loads(story)["state"]
            if state != self._jobs[job].end:
                found.append(Charge(kind="diverged", job=job, what=f"it ended {state}"))
            elif story != expected:
                found.append(Charge(kind="diverged", job=job, what=_difference(expected, story)))
        return tuple([*found, *self._effects()])

    def _effects(self) -> list[Charge]:
        teaching = [job for job, riddle in self._jobs.items() if riddle.memory]
        found = []
        for row in self._ask(_EFFECTS, teaching) or []:
            if row["lessons"] > 1:
                found.append(Charge(kind="doubled", job=row["id"], what=f"{row['lessons']} lessons"))
            if row["lessons"] == 0 or row["waiting"]:
                what = "no lesson" if row["lessons"] == 0 else "its lesson was never delivered"
                found.append(Charge(kind="lost", job=row["id"], what=what))
        for row in self._ask(_SEEN) or []:
            if row["seen"] != row["counted"]:
                kind = "doubled" if row["seen"] > row["counted"] else "lost"
                what = f"lesson {row['id']} counts {row['seen']} deliveries of {row['counted']}"
                found.append(Charge(kind=kind, job=row["job_id"], what=what))
        return [*found, *(self._index() if self.memory else [])]

    def _index(self) -> list[Charge]:
        """The memory's index beside the lessons that Postgres holds."""
        kept = len(self._ask(_SEEN) or [])
        try:
            there = QdrantBank(self._memory_url, MEMORY_KEY, Embedder()).count()
        except MemoryUnavailable as error:
            return [Charge(kind="lost", job=0, what=f"the memory does not answer: {error}")]
        kind = "lost" if there < kept else "doubled"
        return [] if there == kept else [Charge(kind=kind, job=0, what=f"{there} lessons in the index, {kept} kept")]

    def _stories(self) -> dict[int, str]:
        rows = self._ask(_STORY, list(self._jobs)) or []
        return {row.pop("id"): json.dumps(row, sort_keys=True, indent=0) for row in rows}

    def _ask(self, query: str, *parameters: object) -> list[dict[str, Any]] | None:
        """Rows; None where Postgres is away."""
        try:
            plain = self._admin.replace("+psycopg", "", 1)
            with psycopg.connect(plain, connect_timeout=3, row_factory=dict_row) as connection:
                return connection.execute(query, parameters or None).fetchall()  # type: ignore[arg-type]
        except psycopg.Error:
            return None


def _through(url: str, port: int, link: Proxy) -> str:
    return url.replace(f":{port}", f":{link.port}")


def _difference(expected: str, found: str) -> str:
    pairs = itertools.zip_longest(expected.split("\n"), found.split("\n"), fillvalue="(nothing)")
    return next((f"expected {a.strip()}, found {b.strip()}" for a, b in pairs if a != b), "")[:300]
