"""The process that owns a local stack: starts its parts in order, starts again what dies, and stops
everything when it is told to. `python -m workers.local.supervisor` runs one for $REDRAFT_HOME."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import json
import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable

from tasks.errors import RedraftError
from tasks.locations import default_home
from tasks.settings import load_settings
from workers.home import Home, write_private
from workers.local.kept import keep
from workers.local.parts import (
    SILENT_SECONDS,
    ProcessPart,
    ServicePart,
    engine_status,
    flower_part,
    memory_part,
    metrics_part,
    relay_part,
    stop_all,
    ui_part,
    worker_part,
)
from workers.local.postgres import EmbeddedPostgres
from workers.local.record import ALREADY_RUNNING, PartStatus, clean, holding
from workers.local.valkey import EmbeddedValkey
from workers.process import Recorded
from workers.stackfile import StackFile, write

TEND_SECONDS = 0.5
# Checking the health of all parts costs a connection to Postgres and a few requests, so it is done this often while all
# are healthy and none was restarted.
LOOK_SECONDS = 2.0
WORKER_LOGIN = "redraft_local_worker"
METRICS_LOGIN = "redraft_local_metrics"


MakeParts = Callable[[Home, StackFile], list[ProcessPart]]


def standard_parts(home: Home, stack: StackFile) -> list[ProcessPart]:
    """The parts of a whole stack besides Postgres and Valkey, in the order of their start."""
    parts = [memory_part(home, stack), relay_part(home), worker_part(home, stack), flower_part(home, stack)]
    return [*parts, ui_part(home, stack), metrics_part(home, stack)]


class Supervisor:
    """The supervisor of one stack. It must run in the main thread: its children end with the thread that started
    them. `silent_seconds` is how long a service that hangs is waited for."""

    def __init__(self, home: Home, make_parts: MakeParts, silent_seconds: float = SILENT_SECONDS) -> None:
        self._home, self._make_parts = home, make_parts
        self._stopping = threading.Event()
        self._kept = kept = keep(home, load_settings())
        self._postgres = EmbeddedPostgres(home, kept.postgres_port)
        self._valkey = EmbeddedValkey(home, kept.valkey_port, kept.valkey_password)
        self._services = [
            ServicePart(name="postgres", server=self._postgres, silent_seconds=silent_seconds),
            ServicePart(name="valkey", server=self._valkey, silent_seconds=silent_seconds),
        ]
        self._parts: list[ProcessPart] = []
        self._next_status, self._pids = -math.inf, list[int | None]()

    def run(self) -> None:
        """Runs the stack until `stop`. Raises `PartFailed` where the services don't start."""
        clean(self._home)
        try:
            stack = self._start_services()
            if self._stopping.is_set():
                return
            write(self._home.root, stack)
            self._parts = self._make_parts(self._home, stack)
            for part in self._parts:
                part.start()
            while not self._stopping.wait(TEND_SECONDS):
                self._restart_dead_parts()
        finally:
            self._stop()

    def stop(self) -> None:
        """Makes `run` return soon."""
        self._stopping.set()

    def _start_services(self) -> StackFile:
        # Half a second of imports that `redraft status` and `down`, which load this module, have no use for.
        from tasks.store.migrate import upgrade
        from tasks.store.roles import ensure_login

        self._postgres.start()
        upgrade(self._postgres.url)
        kept, login = self._kept, local_login()
        ensure_login(self._postgres.url, WORKER_LOGIN, kept.worker_password, "redraft_worker")
        ensure_login(self._postgres.url, login, kept.user_password, "redraft_submitter")
        ensure_login(self._postgres.url, METRICS_LOGIN, kept.metrics_password, "redraft_metrics")
        self._valkey.start()
        me, settings = Recorded.of(os.getpid()), load_settings()
        return StackFile(
            admin_url=self._postgres.url,
            worker_url=self._postgres.url_of("redraft", WORKER_LOGIN, kept.worker_password),
            user_url=self._postgres.url_of("redraft", login, kept.user_password),
            broker_url=self._valkey.url,
            flower_url=f"http://127.0.0.1:{kept.flower_port}",
            flower_user="redraft",
            flower_password=kept.flower_password,
            memory_url=f"http://127.0.0.1:{kept.memory_port}",
            memory_key=kept.memory_key,
            supervisor_pid=me.pid,
            supervisor_started=me.started,
            endpoint=settings.endpoint,
            endpoint_model=settings.endpoint_model,
            endpoint_key=settings.endpoint_key.get_secret_value(),
            endpoint_context_tokens=settings.endpoint_context_tokens,
            model=settings.model,
            engine=settings.engine,
            egress=str(settings.egress),
            ui_url=f"http://127.0.0.1:{kept.ui_port}",
            ui_secret=kept.ui_secret,
            metrics_url=f"http://127.0.0.1:{kept.metrics_port}",
            metrics_database_url=self._postgres.url_of("redraft", METRICS_LOGIN, kept.metrics_password),
        )

    def _restart_dead_parts(self) -> None:
        for service in self._services:
            service.tend(lambda why: sys.stderr.writelines((why, "\n")))  # which is supervisor.log
        for part in self._parts:
            part.tend()
        pids = [service.server.pid for service in self._services] + [part.pid for part in self._parts]
        if pids != self._pids or time.monotonic() >= self._next_status:
            self._pids = pids
            self._write_status()

    def _write_status(self) -> None:
        statuses, engine = list[PartStatus](), list[PartStatus]()
        for part in self._parts:
            statuses.append(part.status())
            if part.engine is not None:
                engine.append(engine_status(self._home, statuses[-1], part.engine.engine_fault))
        all_statuses = [*(service.status() for service in self._services), *engine, *statuses]
        write_private(
            self._home.run / "parts.json", json.dumps([dataclasses.asdict(status) for status in all_statuses])
        )
        all_healthy = all(status.health == "ok" for status in all_statuses)
        self._next_status = time.monotonic() + (LOOK_SECONDS if all_healthy else 0.0)

    def _stop(self) -> None:
        stop_all(self._parts)
        self._valkey.stop()
        self._postgres.stop()
        clean(self._home)


def local_login() -> str:
    """The user's login in the database: the name of the OS user, made a valid role name."""
    name = re.sub(r"[^a-z0-9_]", "_", getpass.getuser().lower())
    return f"user_{name}" if name.startswith(("pg_", "redraft")) or name == "postgres" else name


def own(home: Home, make_parts: MakeParts = standard_parts, silent_seconds: float = SILENT_SECONDS) -> int:
    """Runs the stack of a home until TERM or INT; writes a failure to run/failure. Returns the exit code."""
    home.make()
    failure = home.run / "failure"
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context(holding(home))
        except BlockingIOError:
            return ALREADY_RUNNING
        failure.unlink(missing_ok=True)
        supervisor = Supervisor(home, make_parts, silent_seconds)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: supervisor.stop())
        me = Recorded.of(os.getpid())
        lock.truncate(0)
        lock.write(f"{me.pid} {me.started!r}")
        lock.flush()
        try:
            supervisor.run()
        except RedraftError as error:
            write_private(failure, str(error))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(own(Home(root=default_home())))
