"""Redraft in the chaos suite: two workers, a relay and a memory of its own processes, and the judge of its database."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import distribution, version
from pathlib import Path

import psycopg

from tasks.memory.bank import QdrantBank
from tasks.memory.embedder import Embedder
from tasks.store.migrate import upgrade
from tasks.store.roles import ensure_login
from tests.chaos.book import OWNERS, WORKER, Book, Booked
from tests.chaos.fleet import ROOT, Part, Services, port_of
from tests.chaos.proxy import Proxy
from workers.celery_app import make_app
from workers.home import free_port
from workers.http_client import answers

LEASE_SECONDS = 3.0
SLOTS = 4
PASSWORD, MEMORY_KEY = "only-in-this-test", "only-for-this-test"
STALE_MESSAGES = 20
NEXT_VERSION = "99.0"
LAUNCH = (sys.executable, "-m", "tests.chaos.launch")


class Redraft(Booked):
    """Implements `Contestant`, in a `database` of its own; `teaching` is whether it has a memory."""

    name = "redraft"
    steps_a_job = 20
    lease_seconds = LEASE_SECONDS
    # A job takes four seconds when it is alone; one that is not over by then is lost.
    patience_seconds = 90.0
    # What is delivered after the job: lessons.
    settle_seconds = 30.0

    def __init__(self, services: Services, *, database: str = "chaos", teaching: bool = True, workers: int = 2) -> None:
        self.services, self._database = services, database
        with psycopg.connect(services.postgres.url.replace("+psycopg", "", 1), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"')  # type: ignore[arg-type]
        self._admin = services.postgres.url_of(database)
        upgrade(self._admin)
        ensure_login(self._admin, WORKER, PASSWORD, "redraft_worker")
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
        self.workers = [self.worker(number) for number in range(workers)]
        self._book = Book(admin=lambda: self._admin, login=self._url, bank=self._bank if teaching else None)

    def _url(self, login: str) -> str:
        return self.services.postgres.url_of(self._database, login, PASSWORD)

    def _bank(self) -> QdrantBank:
        return QdrantBank(self._memory_url, MEMORY_KEY, Embedder())

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

    def wait_for_memory(self) -> None:
        """Until it answers."""
        while not answers(self._memory_url, {"api-key": MEMORY_KEY}):
            time.sleep(0.1)

    def rebuild_memory(self) -> None:
        """`redraft memory rebuild`, as an operator would."""
        self.wait_for_memory()
        database = self._url(WORKER)
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
        """A worker with links of its own and, where there are enough, an engine of its own; not yet started."""
        engines = self.services.engines
        engine = f"http://127.0.0.1:{port_of(engines[number % len(engines)])}/v1"
        return self._part(
            f"worker {number}", [*LAUNCH, "worker"], {"REDRAFT_ENDPOINT": engine}, ready="the worker takes work"
        )

    def _part(self, name: str, argv: Sequence[str], environment: Mapping[str, str], *, ready: str) -> Part:
        links = {
            "postgres": Proxy(self.services.postgres.port),
            "valkey": Proxy(self.services.valkey.port),
        }
        self._all_links.append(links)
        database = self._url(WORKER)
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

    def busy(self) -> list[Part]:
        """Those whose process holds a lease."""
        rows = self._book.ask("SELECT DISTINCT worker FROM leases WHERE worker IS NOT NULL") or []
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


def _through(url: str, port: int, link: Proxy) -> str:
    return url.replace(f":{port}", f":{link.port}")
